/* SPDX-License-Identifier: Apache-2.0
 *
 * Small graphs on f32 that the suite shows a backend: one node, or three in a row, of the first op
 * of a short list that the device takes. Inputs are small whole numbers, so results are exact.
 */
#include "abi.h"

#include <string.h>

/* Values: 0 and 1 are operands, 2 is what node 0 makes, 3 and 4 what the others make. */
typedef struct candidate {
    uint32_t op;
    uint32_t arity;
    const char *name;
} candidate;
static const candidate candidates[] = {
    {FER_OP_Relu,     1, "Relu"    },
    {FER_OP_Add,      2, "Add"     },
    {FER_OP_Identity, 1, "Identity"},
    {FER_OP_Neg,      1, "Neg"     },
    {FER_OP_MatMul,   2, "MatMul"  },
    {FER_OP_Mul,      2, "Mul"     },
    {FER_OP_Sub,      2, "Sub"     },
    {FER_OP_Abs,      1, "Abs"     },
};
/* Where an operand is a constant: what lays out its weights first. */
static const candidate with_constant[] = {
    {FER_OP_MatMul, 2, "MatMul"},
    {FER_OP_Add,    2, "Add"   },
    {FER_OP_Mul,    2, "Mul"   },
    {FER_OP_Sub,    2, "Sub"   },
};
enum { LONG_ROWS = 1 << 18 };

/* ---- building ---- */

static uint32_t newest_revision(uint32_t op) {
    fer_op_info info = {.struct_size = sizeof info};
    for (uint32_t i = 0; i < fer_op_count(); i++) {
        if (fer_op_get(i, &info) == FER_OK && info.number == op) {
            return info.revision;
        }
    }
    return 1;
}

/* 0: not among the claims. */
static uint32_t revision_of(abi_life *life, uint32_t op) {
    const fer_op_claim *claims = NULL;
    uint32_t count = 0, newest = newest_revision(op);
    if (life->m->core->op_claims(life->device, &claims, &count) != FER_OK) {
        return 0;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (claims[i].op == op) {
            return claims[i].revision < newest ? claims[i].revision : newest;
        }
    }
    return count == 0 ? newest : 0;
}

static void value_shape(abi_graph *self, uint32_t value) {
    fer_value_view *view = &self->values[value].view;
    view->rank = self->kind == ABI_SCALAR ? 0 : self->kind == ABI_DEEP ? FER_MAX_RANK : 2;
    for (uint32_t i = 0; i < view->rank; i++) {
        self->dims[value][i] = (fer_dim){
            .value = i + 2 >= view->rank ? ABI_SIDE : 1, .min = 0, .max = INT64_MAX, .multiple = 1};
    }
    int is_second_of_product = value == 1 && self->op == FER_OP_MatMul;
    if (view->rank == 2 && !is_second_of_product) {
        fer_dim *first = &self->dims[value][0];
        first->value = self->kind == ABI_EMPTY     ? 0
                       : self->kind == ABI_LONG    ? LONG_ROWS / ABI_SIDE
                       : self->kind == ABI_DYNAMIC ? -1
                                                   : ABI_SIDE;
        if (self->kind == ABI_DYNAMIC) {
            first->max = 40;
            first->min = 1;
        }
    }
}

static void value_new(abi_graph *self, uint32_t value, const char *name, uint32_t flags) {
    fer_value_view *view = &self->values[value].view;
    *view = (fer_value_view){
        .struct_size = sizeof *view, .flags = flags, .dtype = FER_F32, .name = name};
    value_shape(self, value);
}

void abi_graph_wire(abi_graph *self) {
    for (uint32_t i = 0; i < ABI_VALUES; i++) {
        self->values[i].view.dims = self->dims[i];
        self->value_list[i] = &self->values[i].view;
    }
    for (uint32_t i = 0; i < ABI_NODES; i++) {
        self->nodes[i].view.inputs = self->operands[i];
        self->nodes[i].view.outputs = &self->results[i];
        self->node_list[i] = &self->nodes[i].view;
    }
    self->graph.nodes = self->node_list;
    self->graph.values = self->value_list;
    self->graph.inputs = self->inputs;
    self->graph.outputs = self->outputs;
    self->graph.constants = self->constants;
    if (self->graph.constant_count > 0) {
        self->values[1].view.data = self->constant;
    }
}

static void graph_build(abi_graph *self, int32_t kind, const candidate *of, uint32_t revision) {
    static const char *const names[ABI_NODES] = {"first", "second", "third"};
    static const char *const results[ABI_NODES] = {"one", "two", "three"};
    memset(self, 0, sizeof *self);
    self->kind = kind;
    self->op = of->op;
    self->arity = of->arity;
    self->rows = ABI_SIDE;
    uint32_t node_count = kind == ABI_CHAIN ? ABI_NODES : 1;
    int has_constant = kind == ABI_CONSTANT;
    value_new(self, 0, "a", FER_VALUE_INPUT);
    value_new(self, 1, "b", has_constant ? FER_VALUE_CONSTANT : FER_VALUE_INPUT);
    for (uint32_t i = 0; i < node_count; i++) {
        value_new(self, 2 + i, results[i], i + 1 == node_count ? FER_VALUE_OUTPUT : 0);
        self->operands[i][0] = i == 0 ? 0 : 1 + i;
        self->operands[i][1] = 1;
        self->results[i] = 2 + i;
        self->nodes[i].view = (fer_node_view){.struct_size = sizeof(fer_node_view),
                                              .op = of->op,
                                              .revision = revision,
                                              .input_count = of->arity,
                                              .output_count = 1,
                                              .name = names[i],
                                              .op_name = of->name,
                                              .work = 100};
    }
    self->inputs[1] = 1;
    self->outputs[0] = 1 + node_count;
    self->constants[0] = 1;
    self->graph = (fer_subgraph){.struct_size = sizeof self->graph,
                                 .node_count = node_count,
                                 .value_count = 2 + node_count,
                                 .input_count = of->arity - (uint32_t)has_constant,
                                 .output_count = 1,
                                 .constant_count = (uint32_t)has_constant,
                                 .dim_slot_count = kind == ABI_DYNAMIC};
    abi_graph_wire(self);
}

static fer_status constant_make(abi_graph *self, abi_life *life) {
    uint64_t count = abi_graph_count(self, 1, self->rows), bytes = count * sizeof(float);
    self->constant = abi_guarded(life->host, bytes, 16);
    if (self->constant == NULL) {
        return FER_OUT_OF_MEMORY;
    }
    abi_graph_fill(self, 1, self->rows, 7, self->constant);
    self->constant_count = count;
    self->values[1].view.data = self->constant;
    self->values[1].view.bytes = bytes;
    return FER_OK;
}

static int is_taken(abi_life *life, abi_graph *graph) {
    fer_support supports[ABI_NODES] = {0};
    for (uint32_t i = 0; i < ABI_NODES; i++) {
        supports[i].struct_size = sizeof supports[i];
    }
    graph->asked = life->m->compiler->claim(life->device, &graph->graph, supports);
    if (graph->asked != FER_OK) {
        return 0;
    }
    for (uint32_t i = 0; i < graph->graph.node_count; i++) {
        if (!supports[i].supported || (graph->kind == ABI_DYNAMIC && !supports[i].dynamic_dims)) {
            return 0;
        }
    }
    return 1;
}

int abi_graph_find(abi_life *life, int32_t kind, abi_graph *out) {
    const candidate *list = kind == ABI_CONSTANT ? with_constant : candidates;
    size_t count = kind == ABI_CONSTANT ? sizeof with_constant / sizeof *with_constant
                                        : sizeof candidates / sizeof *candidates;
    int is_per_op = (life->m->flags & FER_MODULE_PER_OP) != 0;
    if (kind == ABI_CHAIN && is_per_op) {
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t revision = revision_of(life, list[i].op);
        if (revision == 0 || (list[i].op == FER_OP_MatMul && kind >= ABI_SCALAR)) {
            continue;
        }
        graph_build(out, kind, &list[i], revision);
        if (kind == ABI_CONSTANT && constant_make(out, life) != FER_OK) {
            return 0;
        }
        if (is_taken(life, out) || out->asked != FER_OK) {
            return out->asked == FER_OK;
        }
    }
    return 0;
}

void abi_graph_pick(abi_life *life, int32_t kind, abi_graph *out) {
    static const char *const names[] = {"one node",
                                        "a constant operand",
                                        "three nodes",
                                        "dims known only at the run",
                                        "no elements",
                                        "rank 0",
                                        "rank 8",
                                        "2^18 elements"};
    out->asked = FER_OK;
    if (!abi_graph_find(life, kind, out)) {
        abi_ok(life->suite, out->asked, "claim");
        abi_life_close(life);
        abi_skip(life->suite, "the device takes none of the suite's graphs with %s", names[kind]);
    }
}

void abi_graph_nonzero(abi_life *life, abi_graph *out) {
    static const candidate nonzero = {FER_OP_NonZero, 1, "NonZero"};
    uint32_t revision = revision_of(life, nonzero.op);
    graph_build(out, ABI_PLAIN, &nonzero, revision);
    out->values[2].view.dtype = FER_I64;
    out->values[2].view.flags |= FER_VALUE_DATA_DEPENDENT;
    out->dims[2][0].value = 2;
    out->dims[2][1].value = ABI_SIDE * ABI_SIDE;
    if (revision == 0 || !is_taken(life, out)) {
        abi_life_close(life);
        abi_skip(life->suite, "the device does not take NonZero");
    }
}

/* ---- numbers ---- */

uint64_t abi_graph_count(const abi_graph *self, uint32_t value, int64_t rows) {
    uint64_t count = 1;
    for (uint32_t i = 0; i < self->values[value].view.rank; i++) {
        int64_t dim = self->dims[value][i].value;
        count *= (uint64_t)(dim < 0 ? rows : dim);
    }
    return count;
}

void abi_graph_fill(
    const abi_graph *self, uint32_t input, int64_t rows, uint64_t seed, float *out) {
    uint64_t count = abi_graph_count(self, input, rows);
    for (uint64_t i = 0; i < count; i++) {
        out[i] = (float)((int64_t)((i * 7 + seed * 5 + input * 3) % 9) - 4);
    }
}

static float one(uint32_t op, float a, float b) {
    return op == FER_OP_Relu  ? (a > 0 ? a : 0)
           : op == FER_OP_Neg ? -a
           : op == FER_OP_Abs ? (a < 0 ? -a : a)
           : op == FER_OP_Add ? a + b
           : op == FER_OP_Sub ? a - b
           : op == FER_OP_Mul ? a * b
                              : a;
}

static float operand(const abi_graph *self, uint32_t value, uint64_t seed, uint64_t at) {
    uint64_t from = value == 1 && self->kind == ABI_CONSTANT ? 7 : seed;
    return (float)((int64_t)((at * 7 + from * 5 + value * 3) % 9) - 4);
}

/* Products of products leave f32's whole numbers only after more than three nodes. */
void abi_graph_expect(const abi_graph *self, uint64_t seed, int64_t rows, float *out) {
    uint64_t count = abi_graph_count(self, 2, rows);
    for (uint64_t i = 0; i < count; i++) {
        out[i] = operand(self, 0, seed, i);
    }
    for (uint32_t n = 0; n < self->graph.node_count; n++) {
        if (self->op != FER_OP_MatMul) {
            for (uint64_t i = 0; i < count; i++) {
                out[i] = one(self->op, out[i], operand(self, 1, seed, i));
            }
            continue;
        }
        for (uint64_t row = 0; row < count / ABI_SIDE; row++) {
            float sums[ABI_SIDE] = {0};
            for (uint64_t k = 0; k < ABI_SIDE; k++) {
                for (uint64_t c = 0; c < ABI_SIDE; c++) {
                    sums[c] += out[row * ABI_SIDE + k] * operand(self, 1, seed, k * ABI_SIDE + c);
                }
            }
            memcpy(out + row * ABI_SIDE, sums, sizeof sums);
        }
    }
}
