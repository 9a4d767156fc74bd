# Makefile of churn: the extension churn.so and the program churn-trainer.
#
#   make                       builds both for the PostgreSQL of PG_CONFIG
#   make install               installs them (DESTDIR is honoured)
#   make installcheck          runs the regression tests on a running server
#   make unit [SANITIZE=1]     builds and runs the unit tests of src/common
#   make indent-check          fails when a source is not formatted
#   make indent                formats all sources
#   make typedefs              writes src/typedefs.list anew
#
# Variables: PG_CONFIG, WERROR=1 (warnings are errors), with_llvm=no (no
# bitcode for the JIT), XGBOOST_CPPFLAGS and XGBOOST_LIBS (where XGBoost is),
# LINEAR_LIBS and BLAS_LIBS (LIBLINEAR, and a BLAS with its C interface).
# An out-of-tree build is "make -f path/to/Makefile" in an empty directory.

# The directory of this file: "." or, out of tree, the path to the sources.
ifdef VPATH
SOURCE_DIR := $(VPATH)
else
SOURCE_DIR := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))
endif
sources = $(patsubst $(SOURCE_DIR)/%,%,$(sort $(wildcard $(SOURCE_DIR)/$(1))))

EXTVERSION := $(shell sed -n "s/^default_version *= *'\([^']*\)'.*/\1/p" \
				'$(SOURCE_DIR)/churn.control')

BACKEND_OBJS := $(patsubst %.c,%.o,$(call sources,src/backend/*.c))
COMMON_OBJS := $(patsubst %.c,%.o,$(call sources,src/common/*.c))
TRAINER_OBJS := $(patsubst %.c,%.o,$(call sources,src/trainer/*.c))
TRAINER := churn-trainer

EXTENSION = churn
MODULE_big = churn
OBJS = $(BACKEND_OBJS) $(COMMON_OBJS)
DATA = $(call sources,churn--*.sql)
# calls within the library need no detour by the dynamic linker
SHLIB_LINK = -lm -Wl,-Bsymbolic-functions

REGRESS = $(patsubst sql/%.sql,%,$(call sources,sql/*.sql))
REGRESS_OPTS = --load-extension=churn

# Scores must not depend on whether the compiler fuses a multiplication with
# an addition, hence -ffp-contract=off, for the JIT's bitcode as well.
PG_CPPFLAGS = -I$(SOURCE_DIR)/src/include -DCHURN_VERSION='"$(EXTVERSION)"'
PG_CFLAGS = -std=gnu11 -ffp-contract=off -Wall -Wextra $(DEPFLAGS)
DEPFLAGS = -MMD -MP
ifdef WERROR
PG_CFLAGS += -Werror
endif

UNIT_DIR := test/unit/build$(if $(SANITIZE),-sanitize)
EXTRA_CLEAN = $(TRAINER) $(TRAINER_OBJS) test/unit/build test/unit/build-sanitize \
	$(wildcard src/*/*.d) $(wildcard src/*/*.bc) $(wildcard src/*/*.o) \
	$(wildcard src/*/*.BAK) output_iso tmp_check log

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
ifeq ($(PGXS),)
$(error PG_CONFIG=$(PG_CONFIG) does not work; install the development \
	package of PostgreSQL (Debian: postgresql-server-dev-15) or set PG_CONFIG)
endif
include $(PGXS)

# Out of tree, look for sources only: objects of a build in the source tree
# may be of another PostgreSQL.
override VPATH :=
ifneq ($(SOURCE_DIR),.)
vpath %.c $(SOURCE_DIR)
vpath %.control $(SOURCE_DIR)
vpath %.sql $(SOURCE_DIR)
endif

override BITCODE_CFLAGS += -std=gnu11 -ffp-contract=off

# What the server's own headers make the compiler say under -Wextra.
$(BACKEND_OBJS): override CFLAGS += -Wno-unused-parameter \
	-Wno-sign-compare -Wno-missing-field-initializers

XGBOOST_CPPFLAGS ?=
XGBOOST_LIBS ?= -lxgboost
LINEAR_LIBS ?= -llinear
BLAS_LIBS ?= -lblas
$(TRAINER_OBJS): override CPPFLAGS := $(PG_CPPFLAGS) $(XGBOOST_CPPFLAGS)

# Loops over arrays, which gain from vectors as core's checksums do.
src/trainer/mlp.o: override CFLAGS += $(CFLAGS_VECTORIZE)

all: $(TRAINER)

$(TRAINER): $(TRAINER_OBJS) $(COMMON_OBJS)
	$(CC) $(CFLAGS) $^ $(LDFLAGS) $(LDFLAGS_EX) $(XGBOOST_LIBS) \
		$(LINEAR_LIBS) $(BLAS_LIBS) -lm -lpthread -o $@

# Objects depend on this file, on the version in churn.control, on the headers
# they include, and out of tree on the directory they go into.
ALL_OBJS := $(OBJS) $(TRAINER_OBJS)
OBJECT_DIRS := $(sort $(dir $(ALL_OBJS)))
$(ALL_OBJS): $(SOURCE_DIR)/Makefile churn.control | $(OBJECT_DIRS)
ifeq ($(with_llvm),yes)
$(foreach object,$(OBJS),$(eval $(object:.o=.bc): $(object)))
endif
$(OBJECT_DIRS):
	$(MKDIR_P) $@

-include $(wildcard $(ALL_OBJS:.o=.d) $(UNIT_DIR)/*.d)

.PHONY: install-trainer uninstall-trainer install-dashboards uninstall-dashboards
install: install-trainer install-dashboards
uninstall: uninstall-trainer uninstall-dashboards

install-trainer: $(TRAINER) installdirs
	$(INSTALL_PROGRAM) $(TRAINER) '$(DESTDIR)$(pkglibdir)/$(TRAINER)'

uninstall-trainer:
	rm -f '$(DESTDIR)$(pkglibdir)/$(TRAINER)'

# What monitoring systems read; see docs/operations.md.
DASHBOARDS := $(call sources,dashboards/*)
DASHBOARDS_DIR = $(datadir)/churn

install-dashboards: installdirs
	$(MKDIR_P) '$(DESTDIR)$(DASHBOARDS_DIR)'
	$(INSTALL_DATA) $(addprefix $(SOURCE_DIR)/,$(DASHBOARDS)) '$(DESTDIR)$(DASHBOARDS_DIR)/'

uninstall-dashboards:
	rm -f $(addprefix '$(DESTDIR)$(DASHBOARDS_DIR)'/,$(notdir $(DASHBOARDS)))
	-rmdir '$(DESTDIR)$(DASHBOARDS_DIR)'

# Unit tests: every test/unit/test_*.c is a program that prints TAP, linked
# with all of src/common, compiled apart so that sanitizers can be on.
UNIT_CFLAGS := -std=gnu11 -g -O1 -ffp-contract=off -Wall -Wextra \
	$(if $(WERROR),-Werror) -MMD -MP
UNIT_CPPFLAGS := $(PG_CPPFLAGS) -I$(SOURCE_DIR)/test/unit -D_GNU_SOURCE
ifdef SANITIZE
UNIT_CFLAGS += -fsanitize=address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer
endif
UNIT_TESTS := $(patsubst test/unit/%.c,$(UNIT_DIR)/%,\
	$(call sources,test/unit/test_*.c))
UNIT_COMMON := $(patsubst src/common/%.o,$(UNIT_DIR)/%.o,$(COMMON_OBJS))
# modules of the trainer that need no XGBoost; trainer_stubs.h has the rest
UNIT_TRAINER := $(patsubst %,$(UNIT_DIR)/trainer_%.o,additive balance baseline \
	bins calibrate calibrate_isotonic checks checks_column checks_pairs choose column \
	duplicates issues keep keys learner_logistic learner_network learner_rules \
	lesson liblinear memory mlp sample scorecard smote texts)

.PHONY: unit unit-build
unit-build: $(UNIT_TESTS)

unit: unit-build
	@status=0; \
	for program in $(UNIT_TESTS); do \
		echo "# $$program"; \
		(cd '$(SOURCE_DIR)' && '$(CURDIR)'/$$program) || \
			{ echo "# $$program failed"; status=1; }; \
	done; \
	exit $$status

$(UNIT_DIR):
	$(MKDIR_P) $@

$(UNIT_COMMON): $(UNIT_DIR)/%.o: src/common/%.c $(SOURCE_DIR)/Makefile | $(UNIT_DIR)
	$(CC) $(UNIT_CFLAGS) $(UNIT_CPPFLAGS) -c -o $@ $<

$(UNIT_TRAINER): $(UNIT_DIR)/trainer_%.o: src/trainer/%.c $(SOURCE_DIR)/Makefile | $(UNIT_DIR)
	$(CC) $(UNIT_CFLAGS) $(UNIT_CPPFLAGS) -c -o $@ $<

# an archive, so that a test gets only what it calls
$(UNIT_DIR)/trainer.a: $(UNIT_TRAINER)
	rm -f $@ && $(AR) rcs $@ $^

$(UNIT_TESTS): $(UNIT_DIR)/%: test/unit/%.c $(UNIT_COMMON) $(UNIT_DIR)/trainer.a $(SOURCE_DIR)/Makefile | $(UNIT_DIR)
	$(CC) $(UNIT_CFLAGS) $(UNIT_CPPFLAGS) -o $@ $< $(UNIT_DIR)/trainer.a $(UNIT_COMMON) \
		$(LINEAR_LIBS) $(BLAS_LIBS) -lm

# Formatting, as PostgreSQL's own pgindent does it.
INDENTED = $(sort $(wildcard $(SOURCE_DIR)/src/*/*.[ch] \
	$(SOURCE_DIR)/src/include/churn/*.h $(SOURCE_DIR)/test/unit/*.[ch]))

.PHONY: indent indent-check typedefs
indent indent-check:
	'$(SOURCE_DIR)'/scripts/indent $(if $(filter %-check,$@),--check) $(INDENTED)

typedefs:
	'$(SOURCE_DIR)'/scripts/typedefs '$(includedir_server)' $(INDENTED) \
		> '$(SOURCE_DIR)'/src/typedefs.list
