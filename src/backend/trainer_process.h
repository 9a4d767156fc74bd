/*
 * trainer_process.h
 *		The child process churn-trainer: its start and its certain end.
 */
#ifndef CHURN_TRAINER_PROCESS_H
#define CHURN_TRAINER_PROCESS_H

#include "lib/ilist.h"
#include "utils/palloc.h"

#include "compat.h"

/*
 * A frame that only the child sends, between fork and a failed exec: its
 * payload is the errno, an int.
 */
#define CHURN_FRAME_EXEC_FAILED	'X'

/* A running churn-trainer and our end of the socket to it. */
typedef struct ChurnTrainer
{
	const char *path;			/* of the program */
	pid_t		pid;			/* 0 once it is reaped */
	int			fd;				/* non-blocking; -1 once it is closed */
	SubTransactionId subxact;	/* in which it was started */
	dlist_node	node;			/* of the list of all trainers */
	MemoryContextCallback callback;
} ChurnTrainer;

/* What pg_stat_activity shows while a backend waits for its trainer. */
extern uint32 churn_trainer_wait_event(void);

/* The number of threads that training may use. */
extern int	churn_trainer_threads(void);

/*
 * Starts churn-trainer.  It is killed and reaped, and the socket closed, by
 * churn_trainer_stop(), when context goes, or when the transaction or
 * subtransaction that started it aborts, whichever comes first.
 */
extern ChurnTrainer *churn_trainer_start(MemoryContext context);
extern void churn_trainer_stop(ChurnTrainer *trainer);

/* Reports that the trainer ended, or hung up, before it had a result. */
pg_noreturn extern void churn_trainer_died(ChurnTrainer *trainer);

/* Reports that the program could not be executed. */
pg_noreturn extern void churn_trainer_exec_failed(ChurnTrainer *trainer,
												  int error);

#endif							/* CHURN_TRAINER_PROCESS_H */
