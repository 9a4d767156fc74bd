/*
 * evaluate_rows.c
 *		The rows of churn_evaluate() and churn_compare(): read, scored, and
 *		sorted out.
 *
 * A source that the caller names is read with the caller's rights.  The model's
 * own source is SQL that somebody stored: it is read as the model's owner, in a
 * security-restricted operation, and only for members of that role, who could
 * read it anyway.  Of each row only score and outcome are kept.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "tcop/dest.h"
#include "utils/memutils.h"

#include "churn/hash.h"

#include "columns.h"
#include "compat.h"
#include "evaluate.h"
#include "key.h"
#include "label.h"
#include "role.h"
#include "score.h"
#include "source.h"

/* Entries of the list of rows when it is made. */
#define FIRST_ROWS		1024

/* What it takes to score rows of the source by a version. */
typedef struct Scorer
{
	const ChurnVersion *version;
	ChurnRowMap *map;
	float	   *features;
	void	   *workspace;
} Scorer;

/* What receives the rows. */
typedef struct EvaluationReceiver
{
	DestReceiver pub;			/* must be first */
	ChurnEvaluation *evaluation;
	MemoryContext row_context;	/* reset at each row */
	Scorer		scorer;
	Scorer		rival;			/* its version is NULL if there is none */
	int			label_position;
	ChurnLabel	label;
	int			key_position;	/* -1 if all rows are measured */
	ChurnKey	key;
} EvaluationReceiver;

/*
 * Lets a long sort be cancelled.
 */
static void
poll_interrupts(void)
{
	CHECK_FOR_INTERRUPTS();
}

/*
 * Sorts the rows and merges those of equal score.
 */
void
churn_evaluation_merge(ChurnEvaluation *evaluation)
{
	churn_metrics_sort_poll(evaluation->rows, evaluation->nrows,
							poll_interrupts);
	evaluation->nrows = churn_metrics_merge(evaluation->rows,
											evaluation->nrows);
}

/*
 * Makes room for another row with two scores.
 */
static void
make_room_for_pair(ChurnEvaluation *evaluation)
{
	if (evaluation->nrows < evaluation->room)
		return;
	evaluation->room *= 2;
	evaluation->pairs = repalloc_huge(evaluation->pairs,
									  mul_size(evaluation->room,
											   sizeof(ChurnScoredPair)));
}

/*
 * Makes room for another row.  Equal scores are merged first; the list grows if
 * that leaves it more than half full.
 */
static void
make_room(ChurnEvaluation *evaluation)
{
	if (evaluation->nrows < evaluation->room)
		return;
	churn_evaluation_merge(evaluation);
	if (evaluation->nrows <= evaluation->room / 2)
		return;
	evaluation->room *= 2;
	evaluation->rows = repalloc_huge(evaluation->rows,
									 mul_size(evaluation->room,
											  sizeof(ChurnScored)));
}

/*
 * Whether a row is one of those that the trainer set aside for the test: see
 * churn/protocol.h.
 */
static bool
in_test_part(EvaluationReceiver *receiver, const TupleTableSlot *slot)
{
	ChurnEvaluation *evaluation = receiver->evaluation;
	char		buffer[CHURN_KEY_BUFFER];
	const char *text;
	size_t		length;

	if (slot->tts_isnull[receiver->key_position])
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("key \"%s\" of model \"%s\" is null in a labelled row",
						receiver->key.name, evaluation->row->name)));
	text = churn_key_text(&receiver->key,
						  slot->tts_values[receiver->key_position], buffer,
						  &length);

	return churn_hash_unit(churn_hash64(text, length,
										(uint64) evaluation->row->split_seed)) <
		evaluation->record.test_fraction;
}

/*
 * The score of a row by a version.
 */
static double
score_row(const Scorer *scorer, const TupleTableSlot *slot)
{
	float		margin;

	churn_row_encode(scorer->map, slot->tts_values, slot->tts_isnull,
					 scorer->features);
	margin = churn_predictor_margin(scorer->version->predictor,
									scorer->features, scorer->workspace);
	return churn_score_of_margin(scorer->version, margin);
}

/*
 * Scores a row and keeps what there is to measure.
 */
static void
keep_row(EvaluationReceiver *receiver, const TupleTableSlot *slot,
		 bool churned)
{
	ChurnEvaluation *evaluation = receiver->evaluation;
	double		score = score_row(&receiver->scorer, slot);

	if (receiver->rival.version != NULL)
	{
		ChurnScoredPair *pair;

		make_room_for_pair(evaluation);
		pair = &evaluation->pairs[evaluation->nrows++];
		pair->first = score;
		pair->second = score_row(&receiver->rival, slot);
		pair->churned = churned;
	}
	else
	{
		make_room(evaluation);
		evaluation->rows[evaluation->nrows++] = churn_scored(score, churned);
	}
	evaluation->measured++;
}

/*
 * Takes a row from the executor.
 */
static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	EvaluationReceiver *receiver = (EvaluationReceiver *) self;
	MemoryContext old = MemoryContextSwitchTo(receiver->row_context);
	ChurnLabelValue label;

	slot_getallattrs(slot);
	label = churn_label_read(&receiver->label,
							 slot->tts_values[receiver->label_position],
							 slot->tts_isnull[receiver->label_position]);
	if (label == CHURN_LABEL_CHURNED || label == CHURN_LABEL_STAYS)
	{
		if (receiver->key_position >= 0 && !in_test_part(receiver, slot))
			receiver->evaluation->left_out++;
		else
			keep_row(receiver, slot, label == CHURN_LABEL_CHURNED);
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(receiver->row_context);
	return true;
}

/*
 * Finds the columns that a version scores by, in the current memory context.
 */
static void
map_columns(Scorer *scorer, TupleDesc desc)
{
	if (scorer->version != NULL)
		scorer->map = churn_row_map(scorer->version->model,
									scorer->version->name, desc,
									CurrentMemoryContext);
}

/*
 * Called before the first row: finds the columns.
 */
static void
start_rows(DestReceiver *self, int operation, TupleDesc desc)
{
	EvaluationReceiver *receiver = (EvaluationReceiver *) self;
	ChurnEvaluation *evaluation = receiver->evaluation;
	MemoryContext old = MemoryContextSwitchTo(evaluation->context);

	map_columns(&receiver->scorer, desc);
	map_columns(&receiver->rival, desc);
	receiver->label_position = churn_find_column(desc,
												 receiver->label.column);
	receiver->key_position = -1;
	if (evaluation->part == CHURN_EVALUATE_TEST)
	{
		receiver->key_position = churn_find_column(desc,
												   evaluation->record.key);
		churn_key_init(&receiver->key,
					   TupleDescAttr(desc, receiver->key_position));
	}
	MemoryContextSwitchTo(old);
}

/*
 * Decides which rows are measured: of the model's own source those that it
 * was not trained on, if they can be told.
 */
static void
choose_part(ChurnEvaluation *evaluation)
{
	evaluation->has_test_part =
		churn_evaluation_has_test_part(&evaluation->record);
	if (evaluation->part == CHURN_EVALUATE_DEFAULT)
		evaluation->part = evaluation->own && evaluation->has_test_part ?
			CHURN_EVALUATE_TEST : CHURN_EVALUATE_ALL;
	if (evaluation->part == CHURN_EVALUATE_TEST && !evaluation->has_test_part)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("version %d of model \"%s\" has no test rows that can be told",
						evaluation->version->version, evaluation->row->name),
				 errdetail("It was imported, or trained without a key or a test part."),
				 errhint("Measure on rows that it was not trained on: part => 'all', source => '...'.")));
}

/*
 * The columns of the source that a version reads.  A row map of the whole
 * source complains of columns that are missing.
 */
static Bitmapset *
version_columns(const ChurnEvaluation *evaluation,
				const ChurnVersion *version, const ChurnSource *source)
{
	return churn_row_map_columns(churn_row_map(version->model, version->name,
											   source->desc,
											   evaluation->context));
}

/*
 * The columns of the source that are read.
 */
static Bitmapset *
needed_columns(const ChurnEvaluation *evaluation, const ChurnSource *source,
			   int label)
{
	Bitmapset  *needed = version_columns(evaluation, evaluation->version,
										 source);

	if (evaluation->rival != NULL)
		needed = bms_union(needed, version_columns(evaluation,
												   evaluation->rival, source));
	needed = bms_add_member(needed, label);
	if (evaluation->part == CHURN_EVALUATE_TEST)
		needed = bms_add_member(needed,
								churn_source_column(source,
													evaluation->record.key,
													"key"));
	return needed;
}

/*
 * The label column, and how to read it.  The version's positive value is one of
 * the version's own label.
 */
static int
prepare_label(ChurnEvaluation *evaluation, const ChurnSource *source,
			  ChurnLabel *label)
{
	const char *own = evaluation->record.label != NULL ?
	evaluation->record.label : evaluation->row->label;
	const char *name = evaluation->label != NULL ? evaluation->label : own;
	const char *positive = evaluation->positive;
	int			column;

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("model \"%s\" has no label", evaluation->row->name),
				 errhint("Name the column that says who churned: label => '...'.")));
	if (positive == NULL && own != NULL && strcmp(name, own) == 0)
		positive = evaluation->record.positive;
	column = churn_source_column(source, name, "label");
	churn_label_init(label, name, TupleDescAttr(source->desc, column)->atttypid,
					 positive, evaluation->context);
	return column;
}

/*
 * Prepares to score rows by a version, or by none.
 */
static void
prepare_scorer(Scorer *scorer, const ChurnVersion *version)
{
	Size		workspace;

	scorer->version = version;
	if (version == NULL)
		return;
	workspace = churn_predictor_workspace(version->predictor);
	scorer->features =
		palloc0(sizeof(float) * Max(version->model->nfeatures, 1));
	scorer->workspace =
		(void *) TYPEALIGN(32, (uintptr_t) palloc(workspace + 32));
}

/*
 * Prepares to receive rows.
 */
static EvaluationReceiver *
make_receiver(ChurnEvaluation *evaluation)
{
	EvaluationReceiver *receiver = palloc0(sizeof(EvaluationReceiver));

	churn_receiver_init(&receiver->pub, start_rows, receive_row);
	receiver->evaluation = evaluation;
	receiver->row_context = AllocSetContextCreate(evaluation->context,
												  "churn evaluate row",
												  ALLOCSET_DEFAULT_SIZES);
	prepare_scorer(&receiver->scorer, evaluation->version);
	prepare_scorer(&receiver->rival, evaluation->rival);
	evaluation->room = FIRST_ROWS;
	if (evaluation->rival != NULL)
		evaluation->pairs = palloc(sizeof(ChurnScoredPair) * FIRST_ROWS);
	else
		evaluation->rows = palloc(sizeof(ChurnScored) * FIRST_ROWS);
	return receiver;
}

/*
 * Reads the rows, with SPI connected and in the role that reads them.
 */
static void
read_rows(ChurnEvaluation *evaluation, const char *text)
{
	ChurnSource *source = churn_source_open(text, evaluation->context);
	EvaluationReceiver *receiver;
	ChurnSourcePlan *plan;
	int			label;

	MemoryContextSwitchTo(evaluation->context);
	if (evaluation->source != NULL)
		evaluation->own = churn_source_is_own(source, evaluation->row);
	choose_part(evaluation);
	receiver = make_receiver(evaluation);
	label = prepare_label(evaluation, source, &receiver->label);
	plan = churn_source_plan(source,
							 needed_columns(evaluation, source, label),
							 evaluation->context);
	churn_source_read(plan, &receiver->pub);
	churn_label_finish(&receiver->label);
	evaluation->unlabelled = receiver->label.missing;
}

/*
 * Reads the source and scores its labelled rows.
 */
void
churn_evaluation_read(ChurnEvaluation *evaluation)
{
	const ChurnModelRow *row = evaluation->row;

	SPI_connect();
	if (evaluation->source != NULL)
		read_rows(evaluation, evaluation->source);
	else
	{
		ChurnRole	saved = churn_role_become_reader(row, "labelled rows");

		evaluation->own = true;
		read_rows(evaluation, row->source_relation != NULL ?
				  row->source_relation : row->source_query);
		churn_role_restore(saved);
	}
	SPI_finish();
	MemoryContextSwitchTo(evaluation->context);
}
