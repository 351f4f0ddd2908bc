/* SPDX-License-Identifier: Apache-2.0
 *
 * Nodes that pass their first input on: Identity, inference Dropout, casts to the dtype it has, and
 * movements that facts prove to move nothing. An output or a variable's next value is replaced only
 * where it stays a value of its own (edit.h); otherwise the node is kept.
 */
#include "base/error.h"
#include "passes/edit.h"
#include "passes/pass.h"

#include <string.h>

typedef int (*proof)(fer_graph *graph, const feri_gnode *node);

static const feri_fact *output_fact(const fer_graph *graph, const feri_gnode *node) {
    return &graph->values[node->outputs[0]].fact;
}

static int always(fer_graph *graph, const feri_gnode *node) {
    (void)graph;
    (void)node;
    return 1;
}

/* 1 when all elements of input index are known and equal to wanted, or above zero for wanted 0 with
 * is_positive. absent: what an input left out proves. */
static int elements_are(fer_graph *graph,
                        const feri_gnode *node,
                        uint32_t index,
                        int64_t wanted,
                        int is_positive,
                        int absent) {
    feri_fact *fact = feri_node_fact(graph, node, index);
    if (!fact) {
        return absent;
    }
    const feri_sym *elements = feri_fact_elements(fact, &graph->bump);
    for (uint32_t i = 0; elements && i < fact->element_count; i++) {
        if (!feri_sym_is_number(elements[i]) ||
            (is_positive ? elements[i].number <= 0 : elements[i].number != wanted)) {
            return 0;
        }
    }
    return elements != NULL;
}

static int same_dtype(fer_graph *graph, const feri_gnode *node) {
    const feri_fact *in = feri_node_fact(graph, node, 0);
    return in->dtype != FER_DTYPE_NONE && in->dtype == output_fact(graph, node)->dtype;
}

static int same_shape(fer_graph *graph, const feri_gnode *node) {
    const feri_fact *in = feri_node_fact(graph, node, 0);
    const feri_fact *out = output_fact(graph, node);
    if (in->rank < 0 || in->rank != out->rank) {
        return 0;
    }
    for (int32_t i = 0; i < in->rank; i++) {
        if (!feri_sym_equal(in->dims[i], out->dims[i])) {
            return 0;
        }
    }
    return 1;
}

static int drops_nothing(fer_graph *graph, const feri_gnode *node) {
    if (node->output_count > 1 && node->outputs[1] != FER_NO_VALUE &&
        graph->values[node->outputs[1]].use_count) {
        return 0; /* somebody wants the mask */
    }
    return elements_are(graph, node, 2, 0, /*is_positive=*/0, /*absent=*/1);
}

static int permutes_nothing(fer_graph *graph, const feri_gnode *node) {
    const fer_attr *perm = feri_attr_find(node->attrs, node->attr_count, "perm");
    const feri_fact *in = feri_node_fact(graph, node, 0);
    if (!perm) {
        return in->rank == 0 || in->rank == 1; /* reversed */
    }
    for (uint32_t i = 0; i < perm->count; i++) {
        if (perm->value.ints[i] != i) {
            return 0;
        }
    }
    return 1;
}

/* A whole dim in forward order can only be cut with step 1 from 0. */
static int cuts_nothing(fer_graph *graph, const feri_gnode *node) {
    return same_shape(graph, node) &&
           elements_are(graph, node, 4, 0, /*is_positive=*/1, /*absent=*/1);
}

static int pads_nothing(fer_graph *graph, const feri_gnode *node) {
    return elements_are(graph, node, 1, 0, /*is_positive=*/0, /*absent=*/0);
}

static int has_one_input(fer_graph *graph, const feri_gnode *node) {
    (void)graph;
    return node->input_count == 1;
}

static int has_one_output(fer_graph *graph, const feri_gnode *node) {
    return node->output_count == 1 && same_shape(graph, node);
}

static int clips_nothing(fer_graph *graph, const feri_gnode *node) {
    return !feri_node_fact(graph, node, 1) && !feri_node_fact(graph, node, 2);
}

static const struct {
    const char *op;
    proof proof;
} proofs[] = {
    {"Identity",  always          },
    {"Dropout",   drops_nothing   },
    {"Cast",      same_dtype      },
    {"CastLike",  same_dtype      },
    {"Transpose", permutes_nothing},
    {"Reshape",   same_shape      },
    {"Squeeze",   same_shape      },
    {"Unsqueeze", same_shape      },
    {"Flatten",   same_shape      },
    {"Expand",    same_shape      },
    {"Tile",      same_shape      },
    {"Slice",     cuts_nothing    },
    {"Pad",       pads_nothing    },
    {"Concat",    has_one_input   },
    {"Sum",       has_one_input   },
    {"Max",       has_one_input   },
    {"Min",       has_one_input   },
    {"Mean",      has_one_input   },
    {"Split",     has_one_output  },
    {"Clip",      clips_nothing   },
};
enum { PROOF_COUNT = sizeof proofs / sizeof proofs[0] };

fer_status feri_pass_remove_identity(fer_graph *graph, feri_pass_env *env, uint32_t *out_changes) {
    (void)env;
    const feri_op *ops[PROOF_COUNT];
    for (uint32_t i = 0; i < PROOF_COUNT; i++) {
        ops[i] = feri_op_find("", proofs[i].op);
    }
    feri_swap swap;
    FER_TRY(feri_swap_begin(&swap, graph));
    for (uint32_t n = 0; n < graph->node_count; n++) {
        feri_gnode *node = graph->nodes[n];
        uint32_t which = 0;
        while (which < PROOF_COUNT && ops[which] != node->op) {
            which++;
        }
        if (which == PROOF_COUNT || node->is_dead || !node->input_count || !node->output_count ||
            node->inputs[0] == FER_NO_VALUE || node->outputs[0] == FER_NO_VALUE) {
            continue;
        }
        if (feri_swap_may(&swap, node->outputs[0], node->inputs[0]) &&
            proofs[which].proof(graph, node)) {
            feri_swap_put(&swap, node->outputs[0], node->inputs[0]);
            node->is_dead = 1;
        }
    }
    *out_changes = swap.changes;
    feri_swap_finish(&swap);
    return FER_OK;
}
