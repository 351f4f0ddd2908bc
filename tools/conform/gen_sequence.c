/* SPDX-License-Identifier: Apache-2.0
 *
 * Sequences, optionals and maps. Graphs whose inputs are no tensors are imported (case_onnx.h):
 * items lie behind the op's operands, from input ITEMS on, and make up what the graph is fed.
 * Words: items=N, vary=1 for items of different sizes.
 */
#include "case_onnx.h"
#include "generators.h"

#include <stdio.h>
#include <string.h>

enum { ITEMS = 8 };

static uint32_t items_of(const trial *self) { return (uint32_t)arg_int(self, "items", 3); }

/* Items behind the operands, which are no inputs of the graph themselves but as one value. */
static int fill_items(trial *self) {
    uint32_t count = items_of(self), operands = self->input_count;
    if (count > CASE_INPUTS - ITEMS || (arg_int(self, "vary", 0) && self->rank == 0)) {
        return 0;
    }
    for (uint32_t i = operands; i < ITEMS; i++) {
        self->inputs[i] = (case_input){0};
    }
    self->inputs[0].is_present = 0;
    for (uint32_t i = 0; i < count; i++) {
        case_input *item = &self->inputs[ITEMS + i];
        *item = (case_input){.dtype = self->dtype,
                             .is_present = 1,
                             .is_moved = (self->row->flags & ROW_MOVEMENT) != 0};
        (void)snprintf(item->name, sizeof item->name, "item%u", i);
        input_dims(self, ITEMS + i, self->rank, self->dims);
        item->dims[0] += arg_int(self, "vary", 0) ? (int64_t)i : 0;
    }
    if (count > 0) {
        self->input_count = ITEMS + count;
    }
    return 1;
}

/* ---- the graph: the first operand is the sequence of all items (or an optional of what of= says)
 * ---- */

static fer_status group_of(const trial *self, fer_context *context, fer_value **out) {
    fer_value *items[CASE_INPUTS] = {NULL}, *value = NULL;
    const char *of = arg_text(self, "of");
    uint32_t count = items_of(self), made = 0;
    fer_status status = FER_OK;
    for (; status == FER_OK && made < count; made++) {
        status = fer_value_from_tensor(self->inputs[ITEMS + made].tensor, &items[made]);
    }
    if (status == FER_OK && of != NULL && of[0] == 't') {
        value = count > 0 ? fer_value_retain(items[0]) : NULL;
    } else if (status == FER_OK) {
        status = fer_value_sequence(context, items, count, &value);
    }
    if (status == FER_OK && arg_int(self, "optional", 0)) {
        fer_value *inner = value;
        value = NULL;
        status = fer_value_optional(context, arg_int(self, "empty", 0) ? NULL : inner, &value);
        fer_value_release(inner);
    }
    for (uint32_t i = 0; i < made; i++) {
        fer_value_release(items[i]);
    }
    *out = value;
    return status;
}

/* One node; its results are out0, ... of this kind and dtype. */
static fer_status import_one(const trial *self,
                             fer_context *context,
                             const message *attrs,
                             int32_t kind,
                             fer_dtype dtype,
                             fer_graph **out_graph,
                             fer_value **out_inputs,
                             uint32_t *out_count) {
    message graph = {.of = self};
    char names[CASE_LIST] = "group", results[CASE_LIST] = "";
    const char *of = arg_text(self, "of");
    int is_optional = arg_int(self, "optional", 0) != 0, of_tensor = of != NULL && of[0] == 't';
    onnx_add_value(&graph,
                   GRAPH_INPUT,
                   &(onnx_value){.name = "group",
                                 .kind = is_optional ? FER_KIND_OPTIONAL
                                         : of_tensor ? FER_KIND_TENSOR
                                                     : FER_KIND_SEQUENCE,
                                 .of_sequence = is_optional && !of_tensor,
                                 .dtype = self->dtype,
                                 .rank = -1});
    fer_status status = group_of(self, context, &out_inputs[0]);
    *out_count = status == FER_OK;
    for (uint32_t i = 1; i < ITEMS && i < self->input_count && status == FER_OK; i++) {
        const case_input *input = &self->inputs[i];
        if (input->is_present) {
            strcat(strcat(names, " "), input->name);
            onnx_add_value(&graph,
                           GRAPH_INPUT,
                           &(onnx_value){.name = input->name,
                                         .kind = FER_KIND_TENSOR,
                                         .dtype = input->dtype,
                                         .rank = (int32_t)input->rank,
                                         .dims = input->dims});
            status = fer_value_from_tensor(input->tensor, &out_inputs[*out_count]);
            *out_count += status == FER_OK;
        }
    }
    for (uint32_t i = 0; i < self->output_count; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "out%u", i);
        strcat(strcat(results, i > 0 ? " " : ""), name);
        onnx_add_value(&graph,
                       GRAPH_OUTPUT,
                       &(onnx_value){.name = name,
                                     .kind = kind,
                                     .of_sequence = kind == FER_KIND_OPTIONAL && !of_tensor,
                                     .dtype = dtype,
                                     .rank = -1});
    }
    onnx_add_node(&graph, self->op->domain, self->op->name, names, results, attrs);
    return status == FER_OK ? onnx_import(&graph, context, out_graph) : status;
}

#define MAKE(name, kind, dtype)                                                                    \
    static fer_status name(const trial *self,                                                      \
                           fer_context *context,                                                   \
                           fer_graph **out_graph,                                                  \
                           fer_value **out_inputs,                                                 \
                           uint32_t *out_count) {                                                  \
        message attrs = {.of = self};                                                              \
        for (uint32_t i = 0; i < self->arg_count; i++) {                                           \
            const char *key = self->args[i].key;                                                   \
            if (attribute_kind(self->op, key, strlen(key)) == 'i') {                               \
                onnx_attr_int(&attrs, key, arg_int(self, key, 0));                                 \
            }                                                                                      \
        }                                                                                          \
        return import_one(self, context, &attrs, kind, dtype, out_graph, out_inputs, out_count);   \
    }
MAKE(make_sequence, FER_KIND_SEQUENCE, self->dtype)
MAKE(make_tensor, FER_KIND_TENSOR, self->dtype)
MAKE(make_number, FER_KIND_TENSOR, FER_I64)
MAKE(make_truth, FER_KIND_TENSOR, FER_BOOL)
MAKE(make_optional, FER_KIND_OPTIONAL, self->dtype)

/* ---- oracles ---- */

/* "position" from 0 on, or -1 when it lies outside; absent when it is not given. */
static int64_t place_of(const trial *self, int64_t absent, int64_t count) {
    int64_t at = arg_int(self, "position", absent);
    at += at < 0 ? count : 0;
    return at >= 0 && at < count ? at : -1;
}

static int fill_at(trial *self) {
    return place_of(self, 0, items_of(self)) >= 0 && fill_items(self);
}
static int at_oracle(const trial *self, const nd *in, nd *out) {
    *out = in[ITEMS + place_of(self, 0, items_of(self))];
    out->dtype = self->dtype;
    return 1;
}

static int fill_erase(trial *self) {
    return place_of(self, -1, items_of(self)) >= 0 && fill_items(self);
}
static int erase_oracle(const trial *self, const nd *in, nd *out) {
    uint32_t count = items_of(self), at = (uint32_t)place_of(self, -1, count), to = 0;
    nd_group(self, out, FER_KIND_SEQUENCE, count - 1);
    for (uint32_t i = 0; i < count; i++) {
        if (i != at) {
            out->items[to++] = in[ITEMS + i];
        }
    }
    return 1;
}

/* One more place than there are items: behind the last. */
static int fill_insert(trial *self) {
    int64_t count = items_of(self), at = arg_int(self, "position", count);
    return at >= -count && at <= count && fill_items(self);
}
static int insert_oracle(const trial *self, const nd *in, nd *out) {
    int64_t count = items_of(self), at = arg_int(self, "position", count);
    at += at < 0 ? count : 0;
    nd_group(self, out, FER_KIND_SEQUENCE, (uint32_t)count + 1);
    for (int64_t i = 0; i <= count; i++) {
        out->items[i] = i == at ? in[1] : in[ITEMS + i - (i > at)];
    }
    return 1;
}

static int length_oracle(const trial *self, const nd *in, nd *out) {
    (void)in;
    nd_make(self, out, 0, NULL);
    out->dtype = FER_I64;
    out->v[0] = items_of(self);
    return 1;
}

static int fill_join(trial *self) {
    int64_t rank = (int64_t)self->rank + (arg_int(self, "new_axis", 0) != 0);
    int64_t axis = axis_of(arg_int(self, "axis", 0), (uint32_t)rank);
    return axis >= 0 &&
           (!arg_int(self, "vary", 0) || (axis == 0 && !arg_int(self, "new_axis", 0))) &&
           fill_items(self);
}
static int join_oracle(const trial *self, const nd *in, nd *out) {
    int is_new = arg_int(self, "new_axis", 0) != 0;
    uint32_t count = items_of(self), rank = in[ITEMS].rank + (uint32_t)is_new,
             axis = (uint32_t)axis_of(arg_int(self, "axis", 0), rank);
    int64_t dims[FER_MAX_RANK];
    uint64_t inner = 1, outer = 1, before = 0;
    for (uint32_t i = 0, from = 0; i < rank; i++) {
        dims[i] = is_new && i == axis ? (int64_t)count : in[ITEMS].dims[from++];
        outer *= i < axis ? (uint64_t)dims[i] : 1;
        inner *= i > axis ? (uint64_t)dims[i] : 1;
    }
    for (uint32_t k = 1; k < count && !is_new; k++) {
        dims[axis] += in[ITEMS + k].dims[axis];
    }
    nd_make(self, out, rank, dims);
    for (uint32_t k = 0; k < count; k++) {
        uint64_t rows = is_new ? 1 : (uint64_t)in[ITEMS + k].dims[axis];
        for (uint64_t i = 0; i < in[ITEMS + k].count; i++) {
            uint64_t at = i / (rows * inner) * (uint64_t)dims[axis] * inner + before * inner +
                          i % (rows * inner);
            out->v[at] = in[ITEMS + k].v[i];
        }
        before += rows;
    }
    (void)outer;
    return 1;
}

/* ---- of one node: SequenceConstruct, SequenceEmpty, SplitToSequence ---- */

static int fill_construct(trial *self) {
    for (uint32_t i = 0; i < self->input_count && arg_int(self, "vary", 0); i++) {
        self->inputs[i].dims[0] += i;
    }
    return self->rank > 0 || !arg_int(self, "vary", 0);
}
static int construct_oracle(const trial *self, const nd *in, nd *out) {
    nd_group(self, out, FER_KIND_SEQUENCE, self->input_count);
    memcpy(out->items, in, self->input_count * sizeof *in);
    for (uint32_t i = 0; i < self->input_count; i++) {
        out->items[i].dtype = self->dtype;
    }
    return 1;
}
static int empty_oracle(const trial *self, const nd *in, nd *out) {
    (void)in;
    nd_group(self, out, FER_KIND_SEQUENCE, 0);
    return 1;
}

static uint32_t parts_of(const trial *self, int64_t size, int64_t *out_parts) {
    const char *text = arg_text(self, "split");
    uint32_t count = arg_ints(self, "split", out_parts, CASE_LIST);
    if (text == NULL || strchr(text, ':') == NULL) {
        int64_t each = text != NULL ? out_parts[0] : 1;
        for (count = 0; size > 0 && count < CASE_LIST && each > 0; size -= each) {
            out_parts[count++] = size < each ? size : each;
        }
        return size > 0 ? 0 : count;
    }
    for (uint32_t i = 0; i < count; i++) {
        size -= out_parts[i];
    }
    return size == 0 ? count : 0;
}
static int fill_parts(trial *self) {
    int64_t parts[CASE_LIST], axis = axis_of(arg_int(self, "axis", 0), self->rank);
    return axis >= 0 && parts_of(self, self->dims[axis], parts) > 0;
}
static int parts_oracle(const trial *self, const nd *in, nd *out) {
    uint32_t axis = (uint32_t)axis_of(arg_int(self, "axis", 0), in->rank);
    int64_t parts[CASE_LIST], before = 0;
    uint32_t count = parts_of(self, in->dims[axis], parts);
    int keeps = arg_int(self, "keepdims", 1) != 0 || arg_text(self, "split") != NULL;
    nd_group(self, out, FER_KIND_SEQUENCE, count);
    for (uint32_t k = 0; k < count; k++) {
        int64_t dims[FER_MAX_RANK], at[FER_MAX_RANK] = {0}, from[FER_MAX_RANK];
        nd *item = &out->items[k];
        memcpy(dims, in->dims, sizeof dims);
        dims[axis] = parts[k];
        nd_make(self, item, in->rank, dims);
        for (uint64_t i = 0; i < item->count; i++, (void)index_next(in->rank, dims, at)) {
            memcpy(from, at, sizeof from);
            from[axis] += before;
            item->v[i] = in->v[index_flat(in->rank, in->dims, from)];
        }
        if (!keeps) {
            item->rank--;
            memmove(item->dims + axis, item->dims + axis + 1, (item->rank - axis) * sizeof *dims);
        }
        before += parts[k];
    }
    return 1;
}

/* ---- optionals ---- */

static int fill_optional(trial *self) {
    return (arg_text(self, "of") == NULL || items_of(self) == 1) && fill_items(self);
}

static int has_oracle(const trial *self, const nd *in, nd *out) {
    (void)in;
    nd_make(self, out, 0, NULL);
    out->dtype = FER_BOOL;
    out->v[0] = arg_int(self, "empty", 0) == 0;
    return 1;
}

static void group_numbers(const trial *self, const nd *in, nd *out) {
    if (arg_text(self, "of") != NULL) {
        *out = in[ITEMS];
        return;
    }
    nd_group(self, out, FER_KIND_SEQUENCE, items_of(self));
    memcpy(out->items, in + ITEMS, out->item_count * sizeof *in);
}

static int get_oracle(const trial *self, const nd *in, nd *out) {
    group_numbers(self, in, out);
    return 1;
}

static int wrap_oracle(const trial *self, const nd *in, nd *out) {
    nd_group(self, out, FER_KIND_OPTIONAL, 1);
    group_numbers(self, in, &out->items[0]);
    return 1;
}

/* No operand: an empty optional of the type that the attribute names, or what is no optional. */
static int fill_nothing(trial *self) {
    self->input_count = 0;
    return self->rank == 0;
}

static int nothing_oracle(const trial *self, const nd *in, nd *out) {
    (void)in;
    if (arg_text(self, "type") != NULL) {
        nd_group(self, out, FER_KIND_OPTIONAL, 0);
        return 1;
    }
    nd_make(self, out, 0, NULL);
    out->dtype = FER_BOOL;
    return 1;
}

static fer_status make_nothing(const trial *self,
                               fer_context *context,
                               fer_graph **out_graph,
                               fer_value **out_inputs,
                               uint32_t *out_count) {
    message graph = {.of = self}, attrs = {.of = self};
    int is_typed = arg_text(self, "type") != NULL;
    onnx_value type = {.kind = arg_is(self, "type", "", "sequence") ? FER_KIND_SEQUENCE
                                                                    : FER_KIND_TENSOR,
                       .dtype = is_typed ? self->dtype : FER_BOOL,
                       .rank = -1};
    (void)out_inputs;
    if (is_typed) {
        onnx_attr_type(&attrs, "type", &type);
    }
    onnx_add_node(&graph, self->op->domain, self->op->name, "", "out0", &attrs);
    type.of_sequence = type.kind == FER_KIND_SEQUENCE;
    type.kind = is_typed ? FER_KIND_OPTIONAL : FER_KIND_TENSOR;
    type.name = "out0";
    onnx_add_value(&graph, GRAPH_OUTPUT, &type);
    *out_count = 0;
    return onnx_import(&graph, context, out_graph);
}

static fer_status make_got(const trial *self,
                           fer_context *context,
                           fer_graph **out_graph,
                           fer_value **out_inputs,
                           uint32_t *out_count) {
    return (arg_text(self, "of") != NULL ? make_tensor : make_sequence)(
        self, context, out_graph, out_inputs, out_count);
}

/* ---- SequenceMap: body=neg, add (another operand, the same for all items), two (two results) ----
 */

static fer_status make_map(const trial *self,
                           fer_context *context,
                           fer_graph **out_graph,
                           fer_value **out_inputs,
                           uint32_t *out_count) {
    message body = {.of = self}, attrs = {.of = self};
    int adds = arg_is(self, "body", "neg", "add"), has_two = self->output_count > 1;
    onnx_add_value(
        &body,
        GRAPH_INPUT,
        &(onnx_value){.name = "x", .kind = FER_KIND_TENSOR, .dtype = self->dtype, .rank = -1});
    if (adds) {
        onnx_add_value(
            &body,
            GRAPH_INPUT,
            &(onnx_value){
                .name = "more", .kind = FER_KIND_TENSOR, .dtype = self->dtype, .rank = -1});
    }
    onnx_add_node(&body, "", adds ? "Add" : "Neg", adds ? "x more" : "x", "y", NULL);
    onnx_add_value(
        &body,
        GRAPH_OUTPUT,
        &(onnx_value){.name = "y", .kind = FER_KIND_TENSOR, .dtype = self->dtype, .rank = -1});
    if (has_two) {
        onnx_add_node(&body, "", "Mul", "x x", "z", NULL);
        onnx_add_value(
            &body,
            GRAPH_OUTPUT,
            &(onnx_value){.name = "z", .kind = FER_KIND_TENSOR, .dtype = self->dtype, .rank = -1});
    }
    onnx_attr_graph(&attrs, "body", &body);
    return import_one(
        self, context, &attrs, FER_KIND_SEQUENCE, self->dtype, out_graph, out_inputs, out_count);
}

static int fill_map(trial *self) {
    int adds = arg_is(self, "body", "neg", "add");
    self->input_count = adds ? 2 : 1;
    if (adds) {
        self->inputs[1].is_present = 1;
        self->inputs[1].dtype = self->dtype;
        self->inputs[1].rank = 0;
        (void)snprintf(self->inputs[1].name, sizeof self->inputs[1].name, "addend");
    }
    return fill_items(self);
}

static int map_oracle(const trial *self, const nd *in, nd *out) {
    int adds = arg_is(self, "body", "neg", "add");
    for (uint32_t o = 0; o < self->output_count; o++) {
        nd_group(self, &out[o], FER_KIND_SEQUENCE, items_of(self));
        for (uint32_t k = 0; k < items_of(self); k++) {
            const nd *x = &in[ITEMS + k];
            nd *y = &out[o].items[k];
            nd_like(self, y, x);
            y->dtype = self->dtype;
            for (uint64_t i = 0; i < x->count; i++) {
                y->v[i] = o == 1 ? x->v[i] * x->v[i] : adds ? x->v[i] + in[1].v[0] : -x->v[i];
            }
        }
    }
    return 1;
}

/* clang-format off */
#define SHAPES "scalar odd prime vector one empty high"
#define COUNTS "items=1 items=2 items=3 items=5 items=3,vary=1 "
static const case_row rows[] = {
    {"SequenceConstruct", NULL, SHAPES, "n=1 n=3 n=7 n=3,vary=1", "ints", fill_construct, construct_oracle, ROW_MOVEMENT},
    {"SequenceEmpty", "f32|f64|f16|int|bool|str|complex", "scalar", "dtype=f32 dtype=i64 dtype=str", "ints", NULL, empty_oracle, ROW_MOVEMENT},
    {"SequenceAt", "f32|f64|f16|int|bool|str|complex", SHAPES, "position=0 position=2 position=-1 position=-3 position=1,I=i32 position=3,items=5,vary=1 position=-1,items=1", "ints", fill_at, at_oracle, ROW_MOVEMENT, NULL, NULL, make_tensor},
    {"SequenceErase", "f32|f64|f16|int|bool|str|complex", SHAPES, "- position=0 position=1 position=-1 position=-2,I=i32 items=1 position=0,items=5,vary=1", "ints", fill_erase, erase_oracle, ROW_MOVEMENT, NULL, NULL, make_sequence},
    {"SequenceInsert", "f32|f64|f16|int|bool|str|complex", SHAPES, "- position=0 position=1 position=-1 position=3 position=-3,I=i32 items=0 position=0,items=0 position=2,items=4,vary=1", "ints", fill_insert, insert_oracle, ROW_MOVEMENT,
     NULL, NULL, make_sequence},
    {"SequenceLength", "f32|f64|f16|int|bool|str|complex", SHAPES, COUNTS "items=0", "ints", fill_items, length_oracle, ROW_ZEROS, NULL, NULL, make_number},
    {"ConcatFromSequence", "f32|f64|f16|int|bool|str|complex", SHAPES, "axis=0 axis=1 axis=-1 axis=0,new_axis=1 axis=-1,new_axis=1 axis=1,new_axis=1,items=2 axis=0,vary=1 axis=0,items=1 axis=-2,items=5", "ints", fill_join, join_oracle,
     ROW_MOVEMENT, NULL, NULL, make_tensor},
    {"SplitToSequence", NULL, "odd prime vector high 6x4", "- keepdims=0 axis=1 axis=-1,keepdims=0 split=2 split=3,axis=1 split=2,axis=-1,I=i32 split=1:2:3 split=4:2 split=1:3:1,axis=1 split=5:,axis=-2 split=3:3,keepdims=0 split=37: split=30:7", "ints",
     fill_parts, parts_oracle, ROW_MOVEMENT},
    {"SequenceMap", "float|i32|i64|i8", SHAPES, COUNTS "body=add body=add,vary=1,items=4 outs=2 body=add,outs=2 items=0", "ints", fill_map, map_oracle, ROW_ZEROS, NULL, NULL, make_map},
    {"Optional", "f32|f64|f16|int|bool|str|complex", SHAPES, "of=tensor,items=1 items=1 items=3,vary=1", "ints", fill_optional, wrap_oracle, ROW_MOVEMENT, NULL, NULL, make_optional},
    {"OptionalHasElement", "f32|f64|f16|int|bool|str|complex", "scalar odd one empty", "of=tensor,items=1 items=2 of=tensor,items=1,optional=1 items=2,optional=1 of=tensor,items=1,optional=1,empty=1 items=2,optional=1,empty=1", "ints", fill_optional,
     has_oracle, ROW_ZEROS, NULL, NULL, make_truth},
    {"Optional", "f32|f64|f16|int|bool|str|complex", "scalar", "type=tensor type=sequence", "ints", fill_nothing, nothing_oracle, ROW_ZEROS, NULL, NULL, make_nothing},
    {"OptionalHasElement", "f32", "scalar", "absent=1", "ints", fill_nothing, nothing_oracle, ROW_ZEROS, NULL, NULL, make_nothing},
    {"OptionalGetElement", "f32|f64|f16|int|bool|str|complex", SHAPES, "of=tensor,items=1 items=2 of=tensor,items=1,optional=1 items=3,optional=1 items=3,vary=1,optional=1", "ints", fill_optional, get_oracle, ROW_MOVEMENT, NULL, NULL, make_got},
};
/* clang-format on */

const case_family cases_sequence = {"sequence", rows, sizeof rows / sizeof *rows};
