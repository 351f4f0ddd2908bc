/* SPDX-License-Identifier: Apache-2.0
 *
 * What the inference functions share: failing with the node's name, reading operands and
 * attributes that anyone may have written, setting outputs. The functions themselves are named in
 * the columns infer and expand of op_table.def. Used inside lib/op only.
 */
#ifndef FERI_OP_INFER_H
#define FERI_OP_INFER_H

#include "base/error.h"
#include "base/text.h"
#include "op/op.h"

/* INVALID_MODEL with "<Op> '<node>': " in front and the node recorded. */
fer_status feri_infer_fail(const feri_infer *call, const char *format, ...)
    __attribute__((format(printf, 2, 3), cold));

#endif
