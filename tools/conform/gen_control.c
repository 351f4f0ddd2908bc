/* SPDX-License-Identifier: Apache-2.0
 *
 * If, Loop and Scan. Their bodies capture, so the graphs are imported (case_onnx.h). Operands of
 * the trial are what the graph is fed, in order; the node's are named among them. Also CastMap and
 * DictVectorizer, which are fed a map.
 */
#include "case_onnx.h"
#include "generators.h"

#include <stdio.h>
#include <string.h>

static void add_tensor(message *graph, uint32_t field, const char *name, fer_dtype dtype) {
    onnx_add_value(
        graph,
        field,
        &(onnx_value){.name = name, .kind = FER_KIND_TENSOR, .dtype = dtype, .rank = -1});
}

/* What the trial's operands are called in the graph, and their tensors as what it is fed. */
static fer_status
feed(const trial *self, message *graph, fer_value **out_inputs, uint32_t *out_count) {
    fer_status status = FER_OK;
    *out_count = 0;
    for (uint32_t i = 0; i < self->input_count && status == FER_OK; i++) {
        const case_input *input = &self->inputs[i];
        onnx_add_value(graph,
                       GRAPH_INPUT,
                       &(onnx_value){.name = input->name,
                                     .kind = FER_KIND_TENSOR,
                                     .dtype = input->dtype,
                                     .rank = (int32_t)input->rank,
                                     .dims = input->dims});
        status = fer_value_from_tensor(input->tensor, &out_inputs[i]);
        *out_count += status == FER_OK;
    }
    return status;
}

static void operand(trial *self,
                    uint32_t index,
                    const char *name,
                    fer_dtype dtype,
                    uint32_t rank,
                    const int64_t *dims) {
    self->inputs[index] = (case_input){.dtype = dtype, .is_present = 1};
    (void)snprintf(self->inputs[index].name, sizeof self->inputs[index].name, "%s", name);
    input_dims(self, index, rank, dims);
    self->input_count = index + 1;
}

static void one_value(trial *self, uint32_t index, double value) {
    self->inputs[index].fill = FILL_LIST;
    self->inputs[index].list_count = 1;
    self->inputs[index].list[0] = value;
}

/* Dtypes without arithmetic: bodies pass on what they are given, and do not compute. */
static int is_kept(const trial *self) { return (self->row->flags & ROW_MOVEMENT) != 0; }

static void keep_from(trial *self, uint32_t first) {
    for (uint32_t i = first; i < self->input_count; i++) {
        self->inputs[i].is_moved = is_kept(self);
    }
}

/* Sums and products of small whole numbers: exact in every dtype but the narrowest floats, which
 * wrap nowhere here. */
static void settle(const trial *self, nd *out) {
    out->dtype = self->dtype;
    for (uint64_t i = 0; i < out->count && dtype_is_integer(self->dtype) && !is_kept(self); i++) {
        out->v[i] = wrap_to(self->dtype, (wide_int)out->v[i]);
    }
}

/* ---- If: then x + y, else x * y (deep=1: within another If); x and y are captured. Kept: then x,
 * else y ---- */

static int fill_if(trial *self) {
    operand(self, 0, "cond", FER_BOOL, arg_int(self, "one", 0) ? 1 : 0, (int64_t[]){1});
    one_value(self, 0, arg_is(self, "cond", "1", "1"));
    operand(self, 1, "x", self->dtype, self->rank, self->dims);
    operand(self, 2, "y", self->dtype, self->rank, self->dims);
    keep_from(self, 1);
    self->output_count = arg_int(self, "outs", 1) > 1 ? 2 : 1;
    return 1;
}

static void add_branch(message *graph, const trial *self, const char *op, const char *kept) {
    onnx_add_node(
        graph, "", is_kept(self) ? "Identity" : op, is_kept(self) ? kept : "x y", "r", NULL);
    add_tensor(graph, GRAPH_OUTPUT, "r", self->dtype);
    if (self->output_count > 1) {
        onnx_add_node(graph, "", "Identity", "x", "s", NULL);
        add_tensor(graph, GRAPH_OUTPUT, "s", self->dtype);
    }
}

static fer_status make_if(const trial *self,
                          fer_context *context,
                          fer_graph **out_graph,
                          fer_value **out_inputs,
                          uint32_t *out_count) {
    message graph = {.of = self}, branches[2] = {{.of = self}, {.of = self}}, attrs = {.of = self};
    fer_status status = feed(self, &graph, out_inputs, out_count);
    add_branch(&branches[0], self, "Add", "x");
    add_branch(&branches[1], self, "Mul", "y");
    for (int64_t i = 0; i < arg_int(self, "deep", 0); i++) { /* the same choice again, inside */
        message inner = {.of = self}, outer = {.of = self};
        onnx_attr_graph(&inner, "then_branch", &branches[0]);
        onnx_attr_graph(&inner, "else_branch", &branches[1]);
        onnx_add_node(&outer, "", "If", "cond", self->output_count > 1 ? "p q" : "p", &inner);
        add_tensor(&outer, GRAPH_OUTPUT, "p", self->dtype);
        if (self->output_count > 1) {
            add_tensor(&outer, GRAPH_OUTPUT, "q", self->dtype);
        }
        branches[i % 2] = outer;
    }
    onnx_attr_graph(&attrs, "then_branch", &branches[0]);
    onnx_attr_graph(&attrs, "else_branch", &branches[1]);
    onnx_add_node(&graph, "", "If", "cond", self->output_count > 1 ? "out0 out1" : "out0", &attrs);
    add_tensor(&graph, GRAPH_OUTPUT, "out0", self->dtype);
    if (self->output_count > 1) {
        add_tensor(&graph, GRAPH_OUTPUT, "out1", self->dtype);
    }
    return status == FER_OK ? onnx_import(&graph, context, out_graph) : status;
}

static int if_oracle(const trial *self, const nd *in, nd *out) {
    int is_sum = in[0].v[0] != 0;
    nd_like(self, &out[0], &in[1]);
    for (uint64_t i = 0; i < out->count; i++) {
        out->v[i] = is_kept(self) ? in[is_sum ? 1 : 2].v[i]
                    : is_sum      ? in[1].v[i] + in[2].v[i]
                                  : in[1].v[i] * in[2].v[i];
    }
    settle(self, &out[0]);
    if (self->output_count > 1) {
        out[1] = in[1];
    }
    return 1;
}

/* ---- Loop: s += x (captured), scans s; trips=N or none, stop=K ends after K rounds by the
 * condition, cond=0 begins with false. Kept: s = x, scans what s was ---- */

static int64_t rounds_of(const trial *self) {
    int64_t rounds = arg_int(self, "trips", -1), stop = arg_int(self, "stop", -1);
    rounds = rounds < 0 || (stop >= 0 && stop < rounds) ? stop : rounds;
    return arg_is(self, "cond", "1", "0") ? 0 : rounds;
}

static int fill_loop(trial *self) {
    operand(self, 0, "trips", FER_I64, arg_int(self, "one", 0) ? 1 : 0, (int64_t[]){1});
    one_value(self, 0, (double)arg_int(self, "trips", 0));
    operand(self, 1, "cond", FER_BOOL, 0, NULL);
    one_value(self, 1, arg_is(self, "cond", "1", "1"));
    operand(self, 2, "s0", self->dtype, self->rank, self->dims);
    operand(self, 3, "x", self->dtype, self->rank, self->dims);
    keep_from(self, 2);
    self->output_count = 2;
    return rounds_of(self) >= 0;
}

static fer_status make_loop(const trial *self,
                            fer_context *context,
                            fer_graph **out_graph,
                            fer_value **out_inputs,
                            uint32_t *out_count) {
    message graph = {.of = self}, body = {.of = self}, attrs = {.of = self};
    fer_status status = feed(self, &graph, out_inputs, out_count);
    int64_t stop = arg_int(self, "stop", -1);
    add_tensor(&body, GRAPH_INPUT, "i", FER_I64);
    add_tensor(&body, GRAPH_INPUT, "go", FER_BOOL);
    add_tensor(&body, GRAPH_INPUT, "s", self->dtype);
    if (stop >= 0) { /* goes on while i + 1 < stop */
        onnx_add_ints(&body, "last", (int64_t[]){stop - 1}, 0, 1);
        onnx_add_node(&body, "", "Less", "i last", "goes", NULL);
    } else {
        onnx_add_node(&body, "", "Identity", "go", "goes", NULL);
    }
    onnx_add_node(
        &body, "", is_kept(self) ? "Identity" : "Add", is_kept(self) ? "x" : "s x", "t", NULL);
    onnx_add_node(&body, "", "Identity", is_kept(self) ? "s" : "t", "seen", NULL);
    add_tensor(&body, GRAPH_OUTPUT, "goes", FER_BOOL);
    add_tensor(&body, GRAPH_OUTPUT, "t", self->dtype);
    add_tensor(&body, GRAPH_OUTPUT, "seen", self->dtype);
    onnx_attr_graph(&attrs, "body", &body);
    onnx_add_node(&graph,
                  "",
                  "Loop",
                  arg_text(self, "trips") == NULL              ? "- cond s0"
                  : arg_text(self, "cond") == NULL && stop < 0 ? "trips - s0"
                                                               : "trips cond s0",
                  "out0 out1",
                  &attrs);
    add_tensor(&graph, GRAPH_OUTPUT, "out0", self->dtype);
    add_tensor(&graph, GRAPH_OUTPUT, "out1", self->dtype);
    return status == FER_OK ? onnx_import(&graph, context, out_graph) : status;
}

static int loop_oracle(const trial *self, const nd *in, nd *out) {
    int64_t dims[FER_MAX_RANK] = {rounds_of(self)};
    memcpy(dims + 1, self->dims, self->rank * sizeof *dims);
    nd_like(self, &out[0], &in[2]);
    nd_make(self, &out[1], self->rank + 1, dims);
    for (uint64_t i = 0; i < in[2].count; i++) {
        out->v[i] = in[2].v[i];
        for (int64_t k = 0; k < dims[0]; k++) {
            long double before = out->v[i];
            out->v[i] = is_kept(self) ? in[3].v[i] : before + in[3].v[i];
            out[1].v[(uint64_t)k * in[2].count + i] = is_kept(self) ? before : out->v[i];
        }
    }
    settle(self, &out[0]);
    settle(self, &out[1]);
    return 1;
}

/* ---- Scan: state s += x (a slice), scans s + c (captured); in=, out= axes, back=, rear=
 * directions. Kept: s = x, scans what s was ---- */

static int fill_scan(trial *self) {
    int64_t axis = self->rank > 0 ? axis_of(arg_int(self, "in", 0), self->rank) : -1,
            slice[FER_MAX_RANK];
    if (axis < 0 || axis_of(arg_int(self, "out", 0), self->rank) < 0) {
        return 0;
    }
    memcpy(slice, self->dims, (size_t)axis * sizeof *slice);
    memcpy(slice + axis, self->dims + axis + 1, (self->rank - (size_t)axis - 1) * sizeof *slice);
    operand(self, 0, "s0", self->dtype, self->rank - 1, slice);
    operand(self, 1, "x", self->dtype, self->rank, self->dims);
    if (!is_kept(self)) {
        operand(self, 2, "c", self->dtype, self->rank - 1, slice);
    }
    keep_from(self, 0);
    self->output_count = 2;
    return 1;
}

static fer_status make_scan(const trial *self,
                            fer_context *context,
                            fer_graph **out_graph,
                            fer_value **out_inputs,
                            uint32_t *out_count) {
    message graph = {.of = self}, body = {.of = self}, attrs = {.of = self};
    fer_status status = feed(self, &graph, out_inputs, out_count);
    static const char *const words[][2] = {
        {"in",   "scan_input_axes"       },
        {"back", "scan_input_directions" },
        {"out",  "scan_output_axes"      },
        {"rear", "scan_output_directions"}
    };
    add_tensor(&body, GRAPH_INPUT, "s", self->dtype);
    add_tensor(&body, GRAPH_INPUT, "e", self->dtype);
    onnx_add_node(
        &body, "", is_kept(self) ? "Identity" : "Add", is_kept(self) ? "e" : "s e", "t", NULL);
    onnx_add_node(
        &body, "", is_kept(self) ? "Identity" : "Add", is_kept(self) ? "s" : "t c", "u", NULL);
    add_tensor(&body, GRAPH_OUTPUT, "t", self->dtype);
    add_tensor(&body, GRAPH_OUTPUT, "u", self->dtype);
    onnx_attr_graph(&attrs, "body", &body);
    onnx_attr_int(&attrs, "num_scan_inputs", 1);
    for (int i = 0; i < 4; i++) {
        int64_t value = arg_int(self, words[i][0], 0);
        if (arg_text(self, words[i][0]) != NULL) {
            onnx_attr_ints(&attrs, words[i][1], &value, 1);
        }
    }
    onnx_add_node(&graph, "", "Scan", "s0 x", "out0 out1", &attrs);
    add_tensor(&graph, GRAPH_OUTPUT, "out0", self->dtype);
    add_tensor(&graph, GRAPH_OUTPUT, "out1", self->dtype);
    return status == FER_OK ? onnx_import(&graph, context, out_graph) : status;
}

/* Flat index of slice element k at place along axis. */
static uint64_t
along(uint32_t rank, const int64_t *dims, uint32_t axis, int64_t place, uint64_t k) {
    uint64_t inner = dims_count(rank - axis - 1, dims + axis + 1);
    return (k / inner * (uint64_t)dims[axis] + (uint64_t)place) * inner + k % inner;
}

static int scan_oracle(const trial *self, const nd *in, nd *out) {
    uint32_t from = (uint32_t)axis_of(arg_int(self, "in", 0), self->rank),
             to = (uint32_t)axis_of(arg_int(self, "out", 0), self->rank);
    int64_t steps = self->dims[from], dims[FER_MAX_RANK];
    memcpy(dims, in[0].dims, to * sizeof *dims);
    dims[to] = steps;
    memcpy(dims + to + 1, in[0].dims + to, (in[0].rank - to) * sizeof *dims);
    nd_like(self, &out[0], &in[0]);
    nd_make(self, &out[1], self->rank, dims);
    for (uint64_t k = 0; k < in[0].count; k++) {
        out->v[k] = in[0].v[k];
        for (int64_t t = 0; t < steps; t++) {
            int64_t read = arg_int(self, "back", 0) ? steps - 1 - t : t,
                    write = arg_int(self, "rear", 0) ? steps - 1 - t : t;
            long double before = out->v[k],
                        x = in[1].v[along(self->rank, self->dims, from, read, k)];
            out->v[k] = is_kept(self) ? x : before + x;
            out[1].v[along(self->rank, dims, to, write, k)] =
                is_kept(self) ? before : out->v[k] + in[2].v[k];
        }
    }
    settle(self, &out[0]);
    settle(self, &out[1]);
    return 1;
}

/* ---- maps: keys are operand 0, values operand 1 ---- */

static int fill_dict(trial *self) {
    int has_names = arg_text(self, "string_vocabulary") != NULL;
    int64_t count = arg_int(self, "entries", 3);
    operand(self, 0, "keys", has_names ? FER_STRING : FER_I64, 1, &count);
    operand(self, 1, "entries", self->dtype, 1, &count);
    self->inputs[0].fill = FILL_WHEEL;
    self->inputs[0].low = 3;
    self->inputs[0].high = 7;
    self->inputs[0].words = "a"; /* one key: strings are drawn, and keys must differ */
    return self->rank == 0 && (!has_names || count == 1);
}

static fer_status make_dict(const trial *self,
                            fer_context *context,
                            fer_graph **out_graph,
                            fer_value **out_inputs,
                            uint32_t *out_count) {
    message graph = {.of = self}, attrs = {.of = self};
    const char *names = arg_text(self, "string_vocabulary");
    int64_t list[CASE_LIST];
    onnx_add_value(&graph,
                   GRAPH_INPUT,
                   &(onnx_value){.name = "map",
                                 .kind = FER_KIND_MAP,
                                 .key = names != NULL ? FER_STRING : FER_I64,
                                 .dtype = self->dtype});
    if (names != NULL) {
        onnx_attr_strings(&attrs, "string_vocabulary", names);
    } else {
        onnx_attr_ints(
            &attrs, "int64_vocabulary", list, arg_ints(self, "int64_vocabulary", list, CASE_LIST));
    }
    onnx_add_node(&graph, "ai.onnx.ml", "DictVectorizer", "map", "out0", &attrs);
    add_tensor(&graph, GRAPH_OUTPUT, "out0", self->dtype);
    fer_status status =
        fer_value_map(context, self->inputs[0].tensor, self->inputs[1].tensor, &out_inputs[0]);
    *out_count = status == FER_OK;
    return status == FER_OK ? onnx_import(&graph, context, out_graph) : status;
}

static int dict_oracle(const trial *self, const nd *in, nd *out) {
    const char *names = arg_text(self, "string_vocabulary");
    int64_t list[CASE_LIST],
        dims[] = {1,
                  names != NULL ? (int64_t)text_pieces(names)
                                : arg_ints(self, "int64_vocabulary", list, CASE_LIST)};
    nd_make(self, out, 2, dims);
    out->dtype = self->dtype;
    for (int64_t i = 0; i < dims[1]; i++) {
        const char *name = names != NULL ? text_piece(self, names, (uint32_t)i) : "";
        long double wanted = names != NULL ? text_number(name, strlen(name)) : (long double)list[i];
        out->v[i] = self->dtype == FER_STRING ? text_number("", 0) : 0;
        for (uint64_t k = 0; k < in[0].count; k++) {
            out->v[i] = in[0].v[k] == wanted ? in[1].v[k] : out->v[i];
        }
    }
    return 1;
}

static int fill_cast_map(trial *self) {
    int64_t count = arg_int(self, "entries", 3);
    operand(self, 0, "keys", FER_I64, 1, &count);
    operand(self, 1, "entries", self->dtype, 1, &count);
    self->inputs[0].fill = FILL_WHEEL;
    self->inputs[0].low = 3;
    self->inputs[0].high = 7;
    self->inputs[1].words = "3:-7:41:0";
    return self->rank == 0;
}

static fer_status make_cast_map(const trial *self,
                                fer_context *context,
                                fer_graph **out_graph,
                                fer_value **out_inputs,
                                uint32_t *out_count) {
    message graph = {.of = self}, attrs = {.of = self};
    onnx_add_value(
        &graph,
        GRAPH_INPUT,
        &(onnx_value){.name = "map", .kind = FER_KIND_MAP, .key = FER_I64, .dtype = self->dtype});
    for (uint32_t i = 0; i < self->arg_count; i++) {
        char kind = attribute_kind(self->op, self->args[i].key, strlen(self->args[i].key));
        if (kind == 's') {
            onnx_attr_string(&attrs, self->args[i].key, self->args[i].text);
        } else if (kind == 'i') {
            onnx_attr_int(&attrs, self->args[i].key, arg_int(self, self->args[i].key, 0));
        }
    }
    onnx_add_node(&graph, "ai.onnx.ml", "CastMap", "map", "out0", &attrs);
    add_tensor(&graph,
               GRAPH_OUTPUT,
               "out0",
               arg_is(self, "cast_to", "TO_FLOAT", "TO_INT64") ? FER_I64 : FER_F32);
    fer_status status =
        fer_value_map(context, self->inputs[0].tensor, self->inputs[1].tensor, &out_inputs[0]);
    *out_count = status == FER_OK;
    return status == FER_OK ? onnx_import(&graph, context, out_graph) : status;
}

/* DENSE: in the order of the keys; SPARSE: each value at its key, max_map columns. */
static int cast_map_oracle(const trial *self, const nd *in, nd *out) {
    int is_sparse = arg_is(self, "map_form", "DENSE", "SPARSE");
    int64_t dims[] = {1, is_sparse ? arg_int(self, "max_map", 1) : (int64_t)in[0].count};
    nd_make(self, out, 2, dims);
    for (uint64_t k = 0; k < in[0].count; k++) {
        uint64_t place = 0;
        for (uint64_t j = 0; j < in[0].count; j++) {
            place += in[0].v[j] < in[0].v[k];
        }
        static const long double numbers[] = {3, -7, 41, 0};
        long double value = in[1].v[k];
        for (uint32_t w = 0; self->dtype == FER_STRING && w < 4; w++) {
            const char *word = text_piece(self, self->inputs[1].words, w);
            value = in[1].v[k] == text_number(word, strlen(word)) ? numbers[w] : value;
        }
        place = is_sparse ? (uint64_t)in[0].v[k] : place;
        if (place < (uint64_t)dims[1]) {
            out->v[place] = value;
        }
    }
    return 1;
}

/* clang-format off */
#define SHAPES "scalar odd prime vector one empty high"
#define NUMBERS "f32|f64|f16|int"
#define OTHERS "bf16|bool|complex|float8|f8e8m0|sub|str"
static const case_row rows[] = {
    {"If", NUMBERS, SHAPES, "cond=1 cond=0 cond=1,one=1 cond=0,outs=2 cond=1,outs=2 cond=1,deep=1 cond=0,deep=2,outs=2", "ints", fill_if, if_oracle, ROW_ZEROS, NULL, NULL, make_if},
    {"Loop", NUMBERS, SHAPES, "trips=3 trips=1 trips=0 trips=5,stop=2 trips=2,stop=5 stop=3 stop=1 trips=4,cond=1 trips=4,cond=0 trips=3,one=1 trips=9,stop=9,cond=1", "ints", fill_loop, loop_oracle, ROW_ZEROS, NULL, NULL, make_loop},
    {"Scan", NUMBERS, "odd prime vector one high 4x3 3x0x5", "- in=1 in=-1 back=1 rear=1 out=1 out=-1 in=1,out=-1,back=1 in=-1,out=0,rear=1 in=1,out=1,back=1,rear=1", "ints", fill_scan, scan_oracle, ROW_ZEROS, NULL, NULL, make_scan},
    {"If", OTHERS, "odd empty", "cond=1 cond=0 cond=1,outs=2 cond=0,deep=1", "ints", fill_if, if_oracle, ROW_MOVEMENT, NULL, NULL, make_if},
    {"Loop", OTHERS, "odd vector", "trips=3,cond=1 trips=1,cond=1 trips=5,stop=2", "ints", fill_loop, loop_oracle, ROW_MOVEMENT, NULL, NULL, make_loop},
    {"Scan", OTHERS, "odd vector", "- in=1 back=1,rear=1 in=-1,out=0,rear=1 in=1,out=-1,back=1", "ints", fill_scan, scan_oracle, ROW_MOVEMENT, NULL, NULL, make_scan},
    {"ai.onnx.ml.DictVectorizer", "f32|f64|i64|str", "scalar", "int64_vocabulary=0:3:6:2 int64_vocabulary=6:5:3:1:0 entries=1,int64_vocabulary=0:1 entries=6,int64_vocabulary=0:1:2:3:4:5:6", "ints", fill_dict, dict_oracle,
     ROW_ZEROS, NULL, NULL, make_dict},
    {"ai.onnx.ml.DictVectorizer", "f32|f64|i64", "scalar", "entries=1,string_vocabulary=b:a:c entries=1,string_vocabulary=a:", "ints", fill_dict, dict_oracle, ROW_ZEROS, NULL, NULL, make_dict},
    {"ai.onnx.ml.CastMap", "f32|str", "scalar", "- cast_to=TO_FLOAT cast_to=TO_INT64 entries=5 entries=1 map_form=SPARSE,max_map=7 map_form=SPARSE,max_map=9,cast_to=TO_INT64 entries=6,map_form=SPARSE,max_map=7", "ints", fill_cast_map,
     cast_map_oracle, ROW_ZEROS, NULL, NULL, make_cast_map},
};
/* clang-format on */

const case_family cases_control = {"control", rows, sizeof rows / sizeof *rows};
