"""Studies: folders of cells, filled by engines and read by pages; one file for each table or figure of the papers."""
