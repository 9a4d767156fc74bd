/*
 * progress.c
 *		How far a running churn_train() is, for everyone to see.
 *
 * Progress lives in the backend's own entry of the server's status array, as
 * that of VACUUM or COPY does: visible to others before commit, cleared by
 * the server itself when the command fails, and free of locks.  The command
 * number is our own, so that the server's views do not show it.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_authid.h"
#include "commands/dbcommands.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/backend_progress.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "compat.h"
#include "progress.h"

/* Far above the server's own command numbers. */
#define PROGRESS_COMMAND_CHURN	((ProgressCommandType) 0x63687572)

#define PARAM_PHASE			0
#define PARAM_ROWS			1
#define PARAM_ROWS_TOTAL	2
#define PARAM_ROUND			3
#define PARAM_ROUNDS		4
#define PARAM_METRIC		5	/* bits of a double */
#define PARAM_STARTED		6
#define PARAM_PHASE_STARTED 7
#define PARAM_COUNT			8

/* The client hears of progress at most once in so many milliseconds. */
#define NOTICE_INTERVAL_MS	5000

#define PROGRESS_COLUMNS	13

PG_FUNCTION_INFO_V1(churn_progress);

/*
 * Publishes the tracker.  A function that the source calls may have reported
 * progress of its own, or rolled back a subtransaction, either of which takes
 * our entry away; then it is put back.
 */
static void
publish(const ChurnTracker *tracker)
{
	static const int index[PARAM_COUNT] = {
		PARAM_PHASE, PARAM_ROWS, PARAM_ROWS_TOTAL, PARAM_ROUND, PARAM_ROUNDS,
		PARAM_METRIC, PARAM_STARTED, PARAM_PHASE_STARTED
	};
	int64		values[PARAM_COUNT];

	if (MyBEEntry != NULL &&
		(MyBEEntry->st_progress_command != PROGRESS_COMMAND_CHURN ||
		 MyBEEntry->st_progress_command_target != tracker->relid))
		pgstat_progress_start_command(PROGRESS_COMMAND_CHURN, tracker->relid);
	values[PARAM_PHASE] = tracker->phase;
	values[PARAM_ROWS] = tracker->rows;
	values[PARAM_ROWS_TOTAL] = tracker->rows_total;
	values[PARAM_ROUND] = tracker->round;
	values[PARAM_ROUNDS] = tracker->rounds;
	memcpy(&values[PARAM_METRIC], &tracker->metric, sizeof(int64));
	values[PARAM_STARTED] = tracker->started;
	values[PARAM_PHASE_STARTED] = tracker->phase_started;
	pgstat_progress_update_multi_param(PARAM_COUNT, index, values);
}

/*
 * Tells the client now and then, so that whoever waits in psql sees it move.
 */
static void
tell_client(ChurnTracker *tracker)
{
	TimestampTz now = GetCurrentTimestamp();

	if (!TimestampDifferenceExceeds(tracker->noticed, now, NOTICE_INTERVAL_MS))
		return;
	tracker->noticed = now;
	if (tracker->phase == CHURN_PHASE_READING && tracker->rows > 0)
	{
		if (tracker->rows_total > tracker->rows)
			ereport(NOTICE,
					(errmsg("%lld of about %lld rows read",
							(long long) tracker->rows,
							(long long) tracker->rows_total)));
		else
			ereport(NOTICE,
					(errmsg("%lld rows read", (long long) tracker->rows)));
	}
	else if (tracker->phase == CHURN_PHASE_COMPARING && tracker->round > 0)
		ereport(NOTICE,
				(errmsg("fit %d of %d of the comparison", tracker->round,
						tracker->rounds)));
	else if (tracker->phase == CHURN_PHASE_TRAINING && tracker->round > 0)
	{
		if (isnan(tracker->metric))
			ereport(NOTICE,
					(errmsg("round %d of at most %d", tracker->round,
							tracker->rounds)));
		else
			ereport(NOTICE,
					(errmsg("round %d of at most %d, validation log loss %.4f",
							tracker->round, tracker->rounds,
							tracker->metric)));
	}
}

/*
 * Begins to report a training.
 */
void
churn_tracker_start(ChurnTracker *tracker, Oid relid, TimestampTz started)
{
	memset(tracker, 0, sizeof(ChurnTracker));
	tracker->relid = relid;
	tracker->started = started;
	tracker->phase_started = started;
	tracker->noticed = started;
	tracker->metric = NAN;
	publish(tracker);
}

/*
 * Begins a phase, unless it has begun already.
 */
void
churn_tracker_phase(ChurnTracker *tracker, ChurnPhase phase)
{
	if (tracker->phase != phase)
	{
		tracker->phase = phase;
		tracker->phase_started = GetCurrentTimestamp();
	}
	publish(tracker);
}

/*
 * Reports the number of rows sent to the trainer.
 */
void
churn_tracker_rows(ChurnTracker *tracker, int64 rows)
{
	tracker->rows = rows;
	publish(tracker);
	tell_client(tracker);
}

/*
 * Takes what the trainer reports.  Rows are counted here, and phases go
 * forward only, since the trainer's word may arrive late.
 */
void
churn_tracker_report(ChurnTracker *tracker, const char *bytes)
{
	ChurnProgress report;

	memcpy(&report, bytes, sizeof(report));
	if (report.phase > (uint32) tracker->phase &&
		report.phase <= CHURN_PHASE_SAVING)
	{
		tracker->phase = (ChurnPhase) report.phase;
		tracker->phase_started = GetCurrentTimestamp();
	}
	tracker->round = (int) Min(report.round, PG_INT32_MAX);
	tracker->rounds = (int) Min(report.rounds, PG_INT32_MAX);
	tracker->metric = report.metric;
	publish(tracker);
	tell_client(tracker);
}

/*
 * The training is over.
 */
void
churn_tracker_end(void)
{
	pgstat_progress_end_command();
}

/*
 * The name of a phase as churn.training_progress shows it.
 */
static const char *
phase_name(int64 phase)
{
	switch (phase)
	{
		case CHURN_PHASE_STARTING:
			return "starting";
		case CHURN_PHASE_READING:
			return "reading";
		case CHURN_PHASE_PREPARING:
			return "preparing";
		case CHURN_PHASE_COMPARING:
			return "comparing";
		case CHURN_PHASE_TRAINING:
			return "training";
		case CHURN_PHASE_EVALUATING:
			return "evaluating";
		case CHURN_PHASE_SAVING:
			return "saving";
	}
	return "unknown";
}

/*
 * The time the phase still takes at its pace so far, in microseconds; -1
 * where that cannot be told.
 */
static int64
time_to_go(const int64 *params, TimestampTz now)
{
	double		spent = (double) (now - params[PARAM_PHASE_STARTED]);
	double		done = 0;
	double		total = 0;

	if (params[PARAM_PHASE] == CHURN_PHASE_READING)
	{
		done = params[PARAM_ROWS];
		total = params[PARAM_ROWS_TOTAL];
	}
	else if (params[PARAM_PHASE] == CHURN_PHASE_COMPARING ||
			 params[PARAM_PHASE] == CHURN_PHASE_TRAINING)
	{
		done = params[PARAM_ROUND];
		total = params[PARAM_ROUNDS];
	}
	if (done <= 0 || total < done || spent < 0)
		return -1;
	return (int64) (spent / done * (total - done));
}

/*
 * A span of microseconds as an interval of hours and less.
 */
static Datum
span_interval(int64 microseconds)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->time = microseconds;
	return IntervalPGetDatum(interval);
}

/*
 * Whether the caller may see what a role's backends do; the rule of the
 * server's own views.
 */
static bool
may_see(Oid role)
{
	return has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS) ||
		has_privs_of_role(GetUserId(), role);
}

/*
 * Fills a row's columns behind those that everyone may see.
 */
static void
fill_row(const PgBackendStatus *entry, Datum *values, bool *nulls)
{
	const int64 *params = entry->st_progress_param;
	TimestampTz now = GetCurrentTimestamp();
	int64		to_go = time_to_go(params, now);
	double		metric;

	memcpy(&metric, &params[PARAM_METRIC], sizeof(metric));
	values[3] = ObjectIdGetDatum(entry->st_progress_command_target);
	values[4] = CStringGetTextDatum(phase_name(params[PARAM_PHASE]));
	values[5] = Int64GetDatum(params[PARAM_ROWS]);
	values[6] = Int64GetDatum(params[PARAM_ROWS_TOTAL]);
	values[7] = Int32GetDatum((int32) params[PARAM_ROUND]);
	values[8] = Int32GetDatum((int32) params[PARAM_ROUNDS]);
	values[9] = Float8GetDatum(metric);
	nulls[9] = isnan(metric);
	values[10] = TimestampTzGetDatum(params[PARAM_STARTED]);
	values[11] = span_interval(now - params[PARAM_STARTED]);
	nulls[12] = to_go < 0;
	if (to_go >= 0)
		values[12] = span_interval(to_go);
}

/*
 * churn.progress(): one row a backend that runs churn_train().
 */
Datum
churn_progress(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	int			count = pgstat_fetch_stat_numbackends();
	int			i;

	InitMaterializedSRF(fcinfo, 0);
	for (i = 1; i <= count; i++)
	{
		LocalPgBackendStatus *local = pgstat_get_local_beentry_by_index(i);
		PgBackendStatus *entry = &local->backendStatus;
		Datum		values[PROGRESS_COLUMNS] = {0};
		bool		nulls[PROGRESS_COLUMNS] = {false};
		char	   *database;

		if (entry->st_procpid == 0 ||
			entry->st_progress_command != PROGRESS_COMMAND_CHURN)
			continue;
		values[0] = Int32GetDatum(entry->st_procpid);
		values[1] = ObjectIdGetDatum(entry->st_databaseid);
		database = get_database_name(entry->st_databaseid);
		nulls[2] = database == NULL;
		if (database != NULL)
			values[2] = DirectFunctionCall1(namein, CStringGetDatum(database));
		if (may_see(entry->st_userid))
			fill_row(entry, values, nulls);
		else
			memset(nulls + 3, true, (PROGRESS_COLUMNS - 3) * sizeof(bool));
		tuplestore_putvalues(result->setResult, result->setDesc, values,
							 nulls);
	}
	return (Datum) 0;
}
