# Everything runs in .venv, made from constraints.txt on first use.
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed
BIN := $(VENV)/bin

.PHONY: setup demo test test-dense lint types wheel bench clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the pinned set into $(VENV) (minutes at first, then seconds) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: setup
	@$(BIN)/hypermixer compare builtin:nli,n=12000 --mixers hypermixing,attention,mlp_mixer,none --out demo --open \
		--d-model 128 --layers 2 --epochs 4 --batch-size 32 --seeds 1 --lr 1e-3 \
		--set encoder.intermediate_size=256 --set encoder.hidden_dropout_prob=0

test: setup
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto

# The layer where there is no compiler.
test-dense: setup
	@HYPERMIXER_NATIVE=0 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto -q tests/ops tests/mixers tests/hf

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: setup
	@$(BIN)/pyright

wheel: setup
	@rm -rf dist && PIP_CONSTRAINT=$(CURDIR)/constraints.txt $(BIN)/python -m build --wheel --outdir dist . > /dev/null
	@rm -rf $(VENV)-wheel && $(PYTHON) -m venv $(VENV)-wheel
	@$(VENV)-wheel/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt dist/*.whl
	@cd dist && ../$(VENV)-wheel/bin/python -c "import hypermixer; hypermixer.TextClassifier; hypermixer.HyperMixing(8)"
	@$(VENV)-wheel/bin/hypermixer --help > /dev/null
	@rm -rf $(VENV)-wheel && echo "The wheel installs into a clean environment and imports."

bench: setup
	@$(BIN)/python -m benchmarks run

clean:
	rm -rf $(VENV) $(VENV)-wheel dist demo
