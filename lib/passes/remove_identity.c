/* SPDX-License-Identifier: Apache-2.0
 *
 * Nodes that pass their first input on: Identity, inference Dropout, casts to the dtype it has, and
 * movements that facts prove to move nothing. An output or a variable's next value is replaced only
 * where it stays a value of its own (edit.h); otherwise the node is kept.
 */
#include "base/error.h"
#include "ferrule/op_numbers.h"
#include "passes/edit.h"
#include "passes/pass.h"

#include <string.h>

static const feri_fact *output_fact(const fer_graph *graph, const feri_gnode *node) {
    return &graph->values[node->outputs[0]].fact;
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

/* What has to be so, that a node of an op passes its input on. */
enum {
    ALWAYS = 0,
    DTYPE = 1,
    SHAPE = 2,
    ONE_INPUT = 4,
    ONE_OUTPUT = 8,
    NO_DROP = 16,
    NO_TURN = 32,
    FORWARD = 64, /* with SHAPE: a whole dim in this order can only be cut with step 1 from 0 */
    NO_PADS = 128,
    NO_BOUNDS = 256
};
static const struct {
    uint16_t op;
    uint16_t needs;
} proofs[] = {
    {FER_OP_Identity,  ALWAYS            },
    {FER_OP_Dropout,   NO_DROP           },
    {FER_OP_Cast,      DTYPE             },
    {FER_OP_CastLike,  DTYPE             },
    {FER_OP_Transpose, NO_TURN           },
    {FER_OP_Reshape,   SHAPE             },
    {FER_OP_Squeeze,   SHAPE             },
    {FER_OP_Unsqueeze, SHAPE             },
    {FER_OP_Flatten,   SHAPE             },
    {FER_OP_Expand,    SHAPE             },
    {FER_OP_Tile,      SHAPE             },
    {FER_OP_Slice,     SHAPE | FORWARD   },
    {FER_OP_Pad,       NO_PADS           },
    {FER_OP_Concat,    ONE_INPUT         },
    {FER_OP_Sum,       ONE_INPUT         },
    {FER_OP_Max,       ONE_INPUT         },
    {FER_OP_Min,       ONE_INPUT         },
    {FER_OP_Mean,      ONE_INPUT         },
    {FER_OP_Split,     SHAPE | ONE_OUTPUT},
    {FER_OP_Clip,      NO_BOUNDS         },
};

static int passes_on(fer_graph *graph, const feri_gnode *node) {
    uint32_t row = 0;
    while (row < sizeof proofs / sizeof proofs[0] && proofs[row].op != node->op->number) {
        row++;
    }
    if (row == sizeof proofs / sizeof proofs[0]) {
        return 0;
    }
    uint32_t needs = proofs[row].needs;
    return (!(needs & DTYPE) || same_dtype(graph, node)) &&
           (!(needs & SHAPE) || same_shape(graph, node)) &&
           (!(needs & ONE_INPUT) || node->input_count == 1) &&
           (!(needs & ONE_OUTPUT) || node->output_count == 1) &&
           (!(needs & NO_DROP) || drops_nothing(graph, node)) &&
           (!(needs & NO_TURN) || permutes_nothing(graph, node)) &&
           (!(needs & FORWARD) ||
            elements_are(graph, node, 4, 0, /*is_positive=*/1, /*absent=*/1)) &&
           (!(needs & NO_PADS) ||
            elements_are(graph, node, 1, 0, /*is_positive=*/0, /*absent=*/0)) &&
           (!(needs & NO_BOUNDS) ||
            (!feri_node_fact(graph, node, 1) && !feri_node_fact(graph, node, 2)));
}

fer_status feri_pass_remove_identity(fer_graph *graph, feri_pass_env *env, uint32_t *out_changes) {
    (void)env;
    feri_swap swap;
    FER_TRY(feri_swap_begin(&swap, graph));
    for (uint32_t n = 0; n < graph->node_count; n++) {
        feri_gnode *node = graph->nodes[n];
        if (node->is_dead || !node->input_count || !node->output_count ||
            node->inputs[0] == FER_NO_VALUE || node->outputs[0] == FER_NO_VALUE) {
            continue;
        }
        if (feri_swap_may(&swap, node->outputs[0], node->inputs[0]) && passes_on(graph, node)) {
            feri_swap_put(&swap, node->outputs[0], node->inputs[0]);
            node->is_dead = 1;
        }
    }
    *out_changes = swap.changes;
    feri_swap_finish(&swap);
    return FER_OK;
}
