/* SPDX-License-Identifier: Apache-2.0
 *
 * op_numbers.h: FER_OP_Conv and its like, made from op_table.def. Numbers are explicit and never
 * reused. backend.h includes it; by itself it is for code that knows ops but no backend.
 */
#ifndef FERRULE_OP_NUMBERS_H
#define FERRULE_OP_NUMBERS_H

enum {
    FER_OP_NONE = 0,
#define FER_OP(number,                                                                             \
               ident,                                                                              \
               domain,                                                                             \
               name,                                                                               \
               revision,                                                                           \
               inputs,                                                                             \
               outputs,                                                                            \
               types,                                                                              \
               attrs,                                                                              \
               family,                                                                             \
               infer,                                                                              \
               expand,                                                                             \
               flags)                                                                              \
    FER_OP_##ident = (number),
#include "op_table.def"
#undef FER_OP
};

#endif
