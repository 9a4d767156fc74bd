/*
 * churn/number.h
 *		Text that holds a number, read the same way in training and scoring.
 */
#ifndef CHURN_NUMBER_H
#define CHURN_NUMBER_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Reads a decimal number with white space around it, whatever the locale.
 * Blank text gives NaN, for "missing".  False, and no value, when the text is
 * anything else: words, "nan", "infinity", hexadecimal, digit grouping.
 */
extern bool churn_number_parse(const char *text, size_t length, float *value);

/*
 * A number as a feature's value: the nearest float32, where what lies beyond
 * float32's range becomes its largest or smallest finite value.
 */
extern float churn_number_to_float(double number);

#endif							/* CHURN_NUMBER_H */
