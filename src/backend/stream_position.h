/*
 * stream_position.h
 *		The replication slot of a stream worker, and how far it has come.
 */
#ifndef CHURN_STREAM_POSITION_H
#define CHURN_STREAM_POSITION_H

#include "access/xlogdefs.h"
#include "replication/logical.h"

#include "stream_shared.h"

/*
 * Takes the slot of this database and sets *position to where to begin.  A
 * slot that is missing, lost or not the one that the position is of is made
 * anew, and *why is set to the reason; else to NULL.  Making one waits for
 * transactions that run.  Not in a transaction.
 */
extern void churn_position_take(ChurnStreamEntry *entry, XLogRecPtr *position,
								const char **why);

/*
 * Notes within the present transaction, in which SPI is connected, that all
 * that committed before lsn is rescored; and when the slot was made anew.
 */
extern void churn_position_write(XLogRecPtr lsn);
extern void churn_position_create(XLogRecPtr lsn);

/*
 * Notes that customers were read at a time when the log went up to lsn.  It is
 * written with the next position: a process that begins there must not score
 * their changes up to lsn as they come.
 */
extern void churn_position_note_read(XLogRecPtr lsn);
extern XLogRecPtr churn_position_read_until(void);

/* Drops the slot, whether it is taken or not, and forgets the position. */
extern void churn_position_drop(void);

/* Begins to decode there.  Not in a transaction. */
extern LogicalDecodingContext *churn_position_decode(XLogRecPtr position);

#endif							/* CHURN_STREAM_POSITION_H */
