/* SPDX-License-Identifier: Apache-2.0
 *
 * The rows of include/ferrule/op_table.def as data, packed by tools/pack_ops.py, and finding them.
 * The file lists rows in strcmp order of domain and name, so that lookup bisects it (a test checks
 * the order).
 */
#include "ferrule/op_selection.h"
#include "op/infer.h"

#include <assert.h>
#include <string.h>

/* "none" in the columns infer and expand. */
#define feri_infer_none NULL
#define feri_expand_none NULL

#include "op/feri_op_rows.h"

static const struct op_table {
    feri_op rows[ROW_COUNT];
    char texts[TEXT_BYTES];
} table = {{ROWS}, {TEXTS}};

static_assert(sizeof(feri_op) == 12 && offsetof(struct op_table, texts) == ROW_COUNT * 12,
              "tools/pack_ops.py counts the bytes from a row to its texts");

static const struct {
    uint32_t first; /* number */
    const char *name;
} domains[] = {
    {1401, "com.microsoft"           },
    {1301, "ai.onnx.preview.training"},
    {1201, "ai.onnx.preview"         },
    {1001, "ai.onnx.ml"              },
    {0,    ""                        },
};

const char *feri_op_domain(const feri_op *op) {
    uint32_t i = 0;
    while (op->number < domains[i].first) {
        i++;
    }
    return domains[i].name;
}

feri_infer_fn feri_op_rule(const feri_op *op) { return rules[op->rule]; }

const char *feri_op_text(const feri_op *op, feri_op_column column) {
    const char *text = (const char *)op + op->columns_at;
    for (uint32_t i = 0; i < column; i++) {
        text += strlen(text) + 1;
    }
    return text;
}

fer_status feri_op_expand(feri_infer *call, feri_text *out_body) {
    uint32_t expansion = call->op->expansion;
    if (expansion < FUNCTION_COUNT) {
        FER_TRY(functions[expansion](call, out_body));
    } else {
        feri_text_add(out_body, "%s", table.texts + plain_at[expansion - FUNCTION_COUNT]);
    }
    return out_body->status;
}

const feri_op *feri_op_find(const char *domain, const char *name) {
    if (strcmp(domain, "ai.onnx") == 0) {
        domain = "";
    }
    uint32_t low = 0;
    uint32_t high = ROW_COUNT;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = strcmp(domain, feri_op_domain(&table.rows[middle]));
        order = order ? order : strcmp(name, feri_op_name(&table.rows[middle]));
        if (order == 0) {
            return &table.rows[middle];
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

/* A build with chosen ops keeps no names of the others, so it cannot tell them from unknown ones.
 */
#ifdef FERI_OP_SELECTION
#define ABSENT                                                                                     \
    "op '%s' (domain '%s', node '%s') is left out of this build, or unknown: rebuild with -Dops= " \
    "and a list that holds it (ferrule inspect --op-list writes one)"
#else
#define ABSENT "op '%s' (domain '%s', node '%s') is not known"
#endif

fer_status
feri_op_find_for(const char *domain, const char *name, const char *node, const feri_op **out_op) {
    *out_op = feri_op_find(domain, name);
    if (*out_op) {
        return FER_OK;
    }
    fer_status status = feri_fail(FER_UNSUPPORTED, ABSENT, name, domain, node);
    feri_error_set_node(node);
    return status;
}

uint32_t feri_op_table_count(void) { return ROW_COUNT; }

const feri_op *feri_op_at(uint32_t index) { return index < ROW_COUNT ? &table.rows[index] : NULL; }
