/*
 * learner_rules.h
 *		The rules that the user gives, if any.
 */
#ifndef CHURN_LEARNER_RULES_H
#define CHURN_LEARNER_RULES_H

#include "churn/document.h"

/*
 * Makes "rules" follow the rules of CONFIG: an array of objects with "column",
 * a boolean column that is true where the rule holds, and "score".  Without
 * any, NULL, it learns a scorecard.  To be called before it learns.
 */
extern void churn_rules_give(const ChurnValue *rules);

#endif							/* CHURN_LEARNER_RULES_H */
