/*
 * settings.h
 *		Variables behind the extension's settings; churn.c defines them.
 */
#ifndef CHURN_SETTINGS_H
#define CHURN_SETTINGS_H

extern char *churn_default_model;	/* "" for none */
extern uint64 churn_epoch;		/* grows when a look-up may have another
								 * answer although the snapshot is the same */
extern uint64 churn_name_epoch; /* grows when a relation may have got another
								 * name, OID, column or parent */
extern char *churn_trainer;		/* path; "" for churn-trainer beside churn.so */
extern int	churn_training_memory;	/* kB; 0 for no limit */
extern int	churn_training_threads; /* 0 for all processors */
extern int	churn_training_nice;

#endif							/* CHURN_SETTINGS_H */
