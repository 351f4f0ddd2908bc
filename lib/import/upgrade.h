/* SPDX-License-Identifier: Apache-2.0
 *
 * What the upgrade steps share. A step turns a draft of an op into the form it has from one opset
 * on: it changes the draft in place and may put nodes before it (feri_up_value) and one after it
 * (feri_up_after). Such nodes are of the newest opset and carry the name and number of the draft.
 * The first failure stays in status, and what follows it changes nothing that matters.
 */
#ifndef FERI_IMPORT_UPGRADE_H
#define FERI_IMPORT_UPGRADE_H

#include "ferrule/op_selection.h"
#include "import/importer.h"

typedef struct feri_upgrade {
    feri_importer *im;
    fer_graph *graph;
    feri_draft *draft;
    fer_status status;
    const char *after; /* the text of what comes after the draft, NULL: nothing */
    fer_value_id after_inputs[2];
    fer_value_id after_output;
} feri_upgrade;

/* upgrade_steps.c: the steps that the text of upgrade.c names by a letter. */
void feri_upgrade_step(feri_upgrade *up, char letter);
/* upgrade_scan.c */
fer_status feri_upgrade_scan_9(feri_upgrade *up);

/* ---- attributes ---- */

fer_attr *feri_up_attr(feri_upgrade *up, const char *name);
void feri_up_drop(feri_upgrade *up, const char *name);
/* Sets or replaces. text is borrowed. */
void feri_up_set(feri_upgrade *up, const fer_attr *attr);
void feri_up_set_int(feri_upgrade *up, const char *name, int64_t value);
void feri_up_set_string(feri_upgrade *up, const char *name, const char *text);
int feri_up_is_string(feri_upgrade *up, const char *name, const char *text);
/* The attribute, or absent; INVALID_MODEL when it is of another type. */
int64_t feri_up_int(feri_upgrade *up, const char *name, int64_t absent);

/* ---- operands ---- */

/* FER_NO_VALUE when there is none. */
fer_value_id feri_up_input(const feri_upgrade *up, uint32_t index);
void feri_up_set_input(feri_upgrade *up, uint32_t index, fer_value_id value);
/* Of an operand; -1: unknown, or there is none. */
int32_t feri_up_rank(const feri_upgrade *up, uint32_t index);

/* ---- new values and nodes ---- */

/* The value of a text (feri_expand_value) in the draft's operands and attributes. */
fer_value_id feri_up_value(feri_upgrade *up, const char *text);
/* The draft's output gets a value of its own, i0 in a text that makes the old one, o0, from it and
 * second, i1. */
void feri_up_after(feri_upgrade *up, uint32_t output, const char *text, fer_value_id second);

fer_status feri_up_refuse(const feri_upgrade *up, const char *what);

#endif
