/* SPDX-License-Identifier: Apache-2.0
 *
 * What the upgrade steps share. A step turns a draft of an op into the form it has from one opset
 * on: it changes the draft in place and may put nodes before it (feri_up_call) and after it
 * (feri_up_after). Such nodes are of the newest opset and carry the name and number of the draft.
 */
#ifndef FERI_IMPORT_UPGRADE_H
#define FERI_IMPORT_UPGRADE_H

#include "ferrule/op_selection.h"
#include "import/importer.h"

typedef struct feri_upgrade {
    feri_importer *im;
    fer_graph *graph;
    feri_draft *draft;
    feri_draft after[2];
    uint32_t after_count;
} feri_upgrade;

typedef struct feri_upgrade_step {
    const char *op;
    int64_t since; /* the opset whose form the step makes; FERI_UP_ALWAYS: whatever the version */
    fer_status (*run)(feri_upgrade *up);
} feri_upgrade_step;

/* Steps that tidy up what any version may hold run last. */
#define FERI_UP_ALWAYS INT64_MAX

/* Tables by family: a row per op and step, without those of ops this build leaves out; each ends
 * with a row whose op is NULL. */
#define FERI_UPGRADE(op, since, run) FERI_OP_ROW(op, {#op, since, run}, )
extern const feri_upgrade_step feri_upgrade_math[];
extern const feri_upgrade_step feri_upgrade_shape[];
extern const feri_upgrade_step feri_upgrade_nn[];

/* upgrade_scan.c */
fer_status feri_upgrade_scan_9(feri_upgrade *up);

/* ---- attributes ---- */

fer_attr *feri_up_attr(feri_upgrade *up, const char *name);
void feri_up_drop(feri_upgrade *up, const char *name);
/* Sets or replaces. text is borrowed. */
fer_status feri_up_set_int(feri_upgrade *up, const char *name, int64_t value);
fer_status feri_up_set_float(feri_upgrade *up, const char *name, float value);
fer_status feri_up_set_string(feri_upgrade *up, const char *name, const char *text);
/* The attribute, or absent; INVALID_MODEL when it is of another type. */
fer_status feri_up_int(feri_upgrade *up, const char *name, int64_t absent, int64_t *out_value);

/* ---- operands ---- */

/* FER_NO_VALUE when there is none. */
fer_value_id feri_up_input(const feri_upgrade *up, uint32_t index);
fer_status feri_up_set_input(feri_upgrade *up, uint32_t index, fer_value_id value);
/* -1 unknown */
int32_t feri_up_rank(const feri_upgrade *up, fer_value_id value);

/* An int list attribute becomes input index (1-D i64); nothing happens when it is absent, and an
 * empty one is dropped if is_nothing_empty. */
fer_status
feri_up_ints_to_input(feri_upgrade *up, const char *name, uint32_t index, int is_nothing_empty);
/* A float attribute becomes input index: a scalar of the dtype of input 0. */
fer_status feri_up_float_to_input(feri_upgrade *up, const char *name, uint32_t index);

/* ---- new values and nodes ---- */

fer_status feri_up_ints(feri_upgrade *up,
                        const int64_t *values,
                        uint32_t count,
                        int is_scalar,
                        fer_value_id *out_value);
fer_status feri_up_floats(
    feri_upgrade *up, const float *values, uint32_t count, int is_scalar, fer_value_id *out_value);
/* A scalar of like's dtype, through CastLike where that is not known. */
fer_status
feri_up_scalar_like(feri_upgrade *up, float value, fer_value_id like, fer_value_id *out_value);
/* A node before the draft, with at most one int attribute (attr NULL: none). */
fer_status feri_up_call(feri_upgrade *up,
                        const char *op,
                        const fer_value_id *inputs,
                        uint32_t input_count,
                        const char *attr,
                        int64_t attr_value,
                        fer_value_id *out_value);
/* The draft's output gets a value of its own, and a node after the draft makes the old one from it
 * and, if it is not FER_NO_VALUE, from second. */
fer_status feri_up_after(feri_upgrade *up, uint32_t output, const char *op, fer_value_id second);

fer_status feri_up_refuse(const feri_upgrade *up, const char *what);

#endif
