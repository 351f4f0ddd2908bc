/* SPDX-License-Identifier: Apache-2.0
 *
 * The generators: one family a file, all listed in generators.c; and the fill functions that more
 * than one uses.
 */
#ifndef FERRULE_CONFORM_GENERATORS_H
#define FERRULE_CONFORM_GENERATORS_H

#include "case.h"

extern const case_family cases_pointwise;
extern const case_family cases_reduce;
extern const case_family cases_matmul;
extern const case_family cases_layout;
extern const case_family cases_gather;
extern const case_family cases_scatter;
extern const case_family cases_conv;
extern const case_family cases_norm;
extern const case_family cases_quantize;
extern const case_family cases_recurrent;
extern const case_family cases_random;
extern const case_family cases_resize;
extern const case_family cases_sample;
extern const case_family cases_gradient;
extern const case_family cases_convert;
extern const case_family cases_stateful;
extern const case_family cases_attention;
extern const case_family cases_training;
extern const case_family cases_signal;
extern const case_family cases_pick;
extern const case_family cases_unfold;
extern const case_family cases_contrib;
extern const case_family cases_control;
extern const case_family cases_sequence;
extern const case_family cases_text;
extern const case_family cases_ml_trees;
extern const case_family cases_ml_models;
extern const case_family cases_ml;
extern const case_family cases_contrib_quant;
extern const case_family cases_contrib_attention;
/* The error that a sum of so many products of this total size may have (gen_matmul.c). */
long double sum_slack(fer_dtype dtype, uint64_t terms, long double size);
int matmul_numbers(const trial *self, const nd *first, const nd *second, nd *out);
/* A convolution under the attributes of the case; bias may be NULL (gen_conv.c). */
void conv_numbers(const trial *self, const nd *x, const nd *w, const nd *bias, nd *out);

/* post_transform's PROBIT (gen_ml_models.c); NaN beyond 0 and 1. */
long double probit_number(long double share, long double *out_off);

/* Operand shapes under the word bcast (gen_pointwise.c). */
int fill_broadcast(trial *self);
/* A negative axis counts from the end; -1 when it lies outside. */
int64_t axis_of(int64_t axis, uint32_t rank);
/* Which axes "axes" (attribute or operand) names; all when absent. 0 when one lies outside. */
int axes_of(const trial *self, uint32_t rank, uint8_t *out_is_named);

#endif
