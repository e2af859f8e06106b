"""Speed, measured with its limits and its peers in the same run. Nothing is printed unless the gate just passed."""
