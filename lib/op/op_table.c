/* SPDX-License-Identifier: Apache-2.0
 *
 * The rows of include/ferrule/op_table.def as data, and finding them. The file lists rows in
 * strcmp order of domain and name, so that lookup bisects it (a test checks the order).
 */
#include "ferrule/op_numbers.h"
#include "op/infer.h"

#include <string.h>

/* "none" in the columns infer and expand. */
#define feri_infer_none NULL
#define feri_expand_none NULL

static const feri_op rows[] = {
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
    {(number),                                                                                     \
     (revision),                                                                                   \
     domain,                                                                                       \
     name,                                                                                         \
     inputs,                                                                                       \
     outputs,                                                                                      \
     types,                                                                                        \
     attrs,                                                                                        \
     #family,                                                                                      \
     feri_infer_##infer,                                                                           \
     feri_expand_##expand,                                                                         \
     (flags)},
#include "ferrule/op_table.def"
#undef FER_OP
};

#define ROW_COUNT ((uint32_t)(sizeof(rows) / sizeof(rows[0])))

const feri_op *feri_op_find(const char *domain, const char *name) {
    if (strcmp(domain, "ai.onnx") == 0) {
        domain = "";
    }
    uint32_t low = 0;
    uint32_t high = ROW_COUNT;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = strcmp(domain, rows[middle].domain);
        order = order ? order : strcmp(name, rows[middle].name);
        if (order == 0) {
            return &rows[middle];
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

const feri_op *feri_op_by_number(uint32_t number) {
    /* Most rows stand at their number. */
    if (number - 1 < ROW_COUNT && rows[number - 1].number == number) {
        return &rows[number - 1];
    }
    for (uint32_t i = 0; i < ROW_COUNT; i++) {
        if (rows[i].number == number) {
            return &rows[i];
        }
    }
    return NULL;
}

uint32_t feri_op_table_count(void) { return ROW_COUNT; }

const feri_op *feri_op_at(uint32_t index) { return index < ROW_COUNT ? &rows[index] : NULL; }
