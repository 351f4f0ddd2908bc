/* SPDX-License-Identifier: Apache-2.0
 *
 * Upgrades: the steps of a node are run in the order of their opsets, from the version the model
 * uses to the newest. What most steps do is said in the text below; the others are in
 * upgrade_steps.c. Source of what changed when: the schema histories of onnx 1.22.0.
 */
#include "import/upgrade.h"

#include "base/error.h"
#include "graph/expand.h"
#include "graph/expand_scan.h"

#include <stdio.h>
#include <string.h>

/* A line a step, sorted by the opset whose form it makes: opset, ops, ":", then
 *
 *     -name           the attribute is dropped
 *     name>2          it becomes operand 2: numbers in a list, or a scalar of operand 0's dtype
 *     name?2          the same, but an empty list says nothing
 *     name~other      it is called otherwise
 *     name|1          its default
 *     name=text       it is text whatever it was
 *     name=old=text   it is text where it was old
 *     !Op             the op is called otherwise
 *     *x              feri_upgrade_step(x)
 *     #2 v = ...      operand 2 becomes the value of the text up to the end of the line
 *
 * 99: whatever the version. Ops that this build leaves out are not in it. */
#define OP(name) FERI_OP_ROW(name, #name " ")
/* One scale per group became one per channel. */
#define PER_CHANNEL(i)                                                                             \
    "21 GroupNormalization : #" i " v = Reshape(Expand(Reshape(i" i ", {i64: -1 1}), "             \
    "Concat({i64: 1}, Div(Shape(i0, start=1, end=2), {i64: @num_groups}), axis=0)), {i64: -1})\n"
/* clang-format off */
static const char steps[] =
    "2 " OP(GlobalLpPool) OP(LpPool) ": *l\n"
    "2 " OP(Pad) ": paddings~pads\n"
    "4 " OP(Concat) ": axis|1\n"
    "5 " OP(Reshape) ": shape>1\n"
    "6 " OP(Cast) ": *c\n"
    "6 " OP(Selu) ": alpha|1.6732 gamma|1.0507\n"
    FERI_OP_ROW(Tile, /* tiles and axis were inputs of the data's dtype: 1 everywhere but at axis */
    "6 Tile : #1 v = ScatterElements(Expand({i64: 1}, Shape(Shape(i0))), "
    "Reshape(Cast(i2, to=i64), {i64: -1}), Reshape(Cast(i1, to=i64), {i64: -1}))\n"
    "6 Tile : *2\n")
    "7 " OP(Add) OP(And) OP(Div) OP(Equal) OP(Greater) OP(Less) OP(Mul) OP(Or) OP(Pow) OP(Sub) OP(Xor) ": *b\n"
    "7 " OP(PRelu) ": *p\n"
    "7 " OP(BatchNormalization) OP(Dropout) ": -is_test\n" /* models are run for inference */
    "7 " OP(Gemm) ": -broadcast\n"
    "7 " OP(GRU) OP(LSTM) OP(RNN) ": -output_sequence\n" /* Y may be left out instead */
    FERI_OP_ROW(Resize,
    "7 Upsample : mode=bilinear=linear #1 v = {f32: 1 1 @height_scale @width_scale}\n"
    "7 Upsample : -height_scale -width_scale\n")
    "9 " OP(BatchNormalization) ": *s -spatial\n"
    "9 " OP(Scan) ": *S\n"
    FERI_OP_ROW(Resize, "9 Upsample : scales>1\n")
    "10 " OP(Dropout) ": *d\n"
    "10 " OP(Slice) ": starts>1 ends>2 axes>3\n"
    "10 " OP(TopK) ": k>1\n"
    FERI_OP_ROW(Resize, "10 Upsample : !Resize\n")
    "11 " OP(Clip) ": min>1 max>2\n"
    "11 " OP(Pad) ": pads>1 value>2\n"
    "11 " OP(Resize) ": *r\n"
    FERI_OP_ROW(ScatterElements, "11 Scatter : !ScatterElements\n")
    "12 " OP(Dropout) ": -ratio\n" /* it means nothing without training_mode */
    "13 " OP(Hardmax) OP(LogSoftmax) OP(Softmax) ": *x\n"
    "13 " OP(ReduceSum) ": axes?1\n" /* no axes meant all of them */
    "13 " OP(Split) ": split?1\n"
    "13 " OP(Squeeze) OP(Unsqueeze) ": axes>1\n"
    "14 " OP(BatchNormalization) ": *1\n"
    "16 " OP(RoiAlign) ": coordinate_transformation_mode=output_half_pixel\n"
    "18 " OP(ReduceL1) OP(ReduceL2) OP(ReduceLogSum) OP(ReduceLogSumExp) OP(ReduceMax) OP(ReduceMean)
    OP(ReduceMin) OP(ReduceProd) OP(ReduceSumSquare) ": axes?1\n"
    "18 " OP(Split) ": *n\n"
    FERI_OP_ROW(DFT,
    "20 DFT : #2 v = {i64: @axis|1}'\n"
    "20 DFT : -axis\n")
    "20 " OP(GridSample) ": mode=bilinear=linear mode=bicubic=cubic\n"
    FERI_OP_ROW(GroupNormalization, /* one scale per group became one per channel */
    "21 GroupNormalization : *g\n" PER_CHANNEL("1") PER_CHANNEL("2"))
    "99 " OP(Resize) ": *t\n";
/* clang-format on */

/* ---- attributes ---- */

fer_attr *feri_up_attr(feri_upgrade *up, const char *name) {
    return (fer_attr *)(uintptr_t)feri_attr_find(
        up->draft->node.attrs, up->draft->node.attr_count, name);
}

void feri_up_drop(feri_upgrade *up, const char *name) {
    fer_attr *attr = feri_up_attr(up, name);
    if (attr != NULL) {
        *attr = up->draft->node.attrs[--up->draft->node.attr_count];
    }
}

void feri_up_set(feri_upgrade *up, const fer_attr *attr) {
    feri_up_drop(up, attr->name);
    up->status = up->status ? up->status : feri_draft_add_attr(up->im, up->draft, attr);
}

void feri_up_set_int(feri_upgrade *up, const char *name, int64_t value) {
    fer_attr attr = {.name = name, .type = FER_ATTR_INT, .count = 1, .value = {.i = value}};
    feri_up_set(up, &attr);
}

void feri_up_set_string(feri_upgrade *up, const char *name, const char *text) {
    fer_attr attr = {.name = name, .type = FER_ATTR_STRING, .count = 1};
    attr.value.s = (fer_string){text, strlen(text)};
    feri_up_set(up, &attr);
}

int feri_up_is_string(feri_upgrade *up, const char *name, const char *text) {
    return strcmp(feri_attr_string(up->draft->node.attrs, up->draft->node.attr_count, name, ""),
                  text) == 0;
}

int64_t feri_up_int(feri_upgrade *up, const char *name, int64_t absent) {
    const fer_attr *attr = feri_up_attr(up, name);
    if (attr == NULL) {
        return absent;
    }
    if (attr->type != FER_ATTR_INT && up->status == FER_OK) {
        up->status = feri_fail(FER_INVALID_MODEL,
                               "node '%s' (%s): attribute '%s' is of a wrong type",
                               up->draft->node.name,
                               up->draft->op,
                               name);
    }
    return attr->type == FER_ATTR_INT ? attr->value.i : absent;
}

/* ---- operands ---- */

fer_value_id feri_up_input(const feri_upgrade *up, uint32_t index) {
    return index < up->draft->node.input_count ? up->draft->node.inputs[index] : FER_NO_VALUE;
}

void feri_up_set_input(feri_upgrade *up, uint32_t index, fer_value_id value) {
    feri_draft *draft = up->draft;
    while (draft->node.input_count <= index && up->status == FER_OK) {
        up->status = feri_draft_add_input(up->im, draft, FER_NO_VALUE);
    }
    if (up->status == FER_OK) {
        draft->node.inputs[index] = value;
    }
}

int32_t feri_up_rank(const feri_upgrade *up, uint32_t index) {
    fer_value_id value = feri_up_input(up, index);
    return value != FER_NO_VALUE ? up->graph->values[value].fact.rank : -1;
}

/* ---- new values and nodes ---- */

/* The value of a text in operands and the draft's attributes, which has these results. */
static fer_value_id evaluate(feri_upgrade *up,
                             const char *text,
                             fer_value_id *inputs,
                             uint32_t input_count,
                             fer_value_id *outputs,
                             uint32_t output_count) {
    fer_value_id value = FER_NO_VALUE;
    if (up->status == FER_OK) {
        feri_gnode node = up->draft->node;
        node.inputs = inputs;
        node.input_count = node.formal_count = input_count;
        node.outputs = outputs;
        node.output_count = output_count;
        up->status = feri_expand_value(up->graph, &node, up->draft->op, text, &value);
    }
    return value;
}

fer_value_id feri_up_value(feri_upgrade *up, const char *text) {
    enum { NAMED = 3 }; /* texts name operands that a wrong model may leave out */
    feri_draft *draft = up->draft;
    uint32_t count = draft->node.input_count;
    if (count < NAMED) {
        feri_up_set_input(up, NAMED - 1, FER_NO_VALUE);
    }
    fer_value_id value =
        evaluate(up, text, draft->node.inputs, draft->node.input_count, /*outputs=*/NULL, 0);
    draft->node.input_count = count;
    return value;
}

void feri_up_after(feri_upgrade *up, uint32_t output, const char *text, fer_value_id second) {
    fer_value_id *wanted = &up->draft->node.outputs[output];
    up->after = text;
    up->after_inputs[1] = second;
    up->after_output = *wanted;
    if (up->status == FER_OK) {
        up->status = feri_graph_new_value(up->graph, /*name=*/NULL, FERI_ORIGIN_NODE, wanted);
    }
    up->after_inputs[0] = *wanted;
}

fer_status feri_up_refuse(const feri_upgrade *up, const char *what) {
    return feri_fail(
        FER_UNSUPPORTED,
        "node '%s': %s of opset %lld %s is not yet supported; export the model anew with "
        "a newer opset",
        up->draft->node.name,
        up->draft->op,
        (long long)up->draft->version,
        what);
}

/* ---- the steps ---- */

/* name>2 and name?2 */
static void
to_operand(feri_upgrade *up, const fer_attr *attr, uint32_t index, int is_nothing_empty) {
    const char *name = attr->name;
    const char *form = attr->type == FER_ATTR_FLOAT    ? "v = {@%s: i0}"
                       : attr->type == FER_ATTR_FLOATS ? "v = {f32: @%s}"
                                                       : "v = {i64: @%s}";
    char text[32];
    if (attr->count > 0 || !is_nothing_empty) {
        (void)snprintf(text, sizeof(text), form, name);
        feri_up_set_input(up, index, feri_up_value(up, text));
    }
    feri_up_drop(up, name);
}

static void set_default(feri_upgrade *up, const char *name, const char *text) {
    feri_scan scan;
    feri_number number;
    feri_scan_start(&scan, text);
    (void)feri_scan_number(&scan, &number);
    fer_attr attr = {.name = name, .type = FER_ATTR_INT, .count = 1, .value = {.i = number.i}};
    if (number.is_float) {
        attr.type = FER_ATTR_FLOAT;
        attr.value.f = (float)number.f;
    }
    feri_up_set(up, &attr);
}

/* word is "name", a mark and the rest, and is cut up. */
static void change_attr(feri_upgrade *up, char *name) {
    char *rest = name + strcspn(name, ">?~|=");
    char mark = *rest;
    *rest++ = '\0';
    fer_attr *attr = feri_up_attr(up, name);
    if (mark == '|') {
        if (attr == NULL) {
            set_default(up, name, rest);
        }
    } else if (mark != '=') {
        if (attr != NULL && mark == '~') {
            attr->name = rest;
        } else if (attr != NULL) {
            to_operand(up, attr, (uint32_t)(rest[0] - '0'), mark == '?');
        }
    } else {
        char *text = strchr(rest, '=');
        if (text != NULL) {
            *text++ = '\0';
        }
        if (text == NULL || feri_up_is_string(up, name, rest)) {
            feri_up_set_string(up, name, text == NULL ? rest : text);
        }
    }
}

/* The commands of a line of length. */
static void run_line(feri_upgrade *up, const char *at, size_t length) {
    char *word = feri_bump_strndup(up->im->scratch, at, length); /* attributes point to its words */
    up->status = word != NULL ? FER_OK : feri_error_status();
    while (up->status == FER_OK && *word != '\0') {
        char *next = word + strcspn(word, " ");
        if (*next != '\0') {
            *next++ = '\0';
        }
        if (word[0] == '-') {
            feri_up_drop(up, word + 1);
        } else if (word[0] == '!') {
            up->draft->op = word + 1;
        } else if (word[0] == '*') {
            feri_upgrade_step(up, word[1]);
        } else if (word[0] == '#') {
            if (feri_up_input(up, 0) != FER_NO_VALUE) { /* else the check of operands tells */
                feri_up_set_input(up, (uint32_t)(word[1] - '0'), feri_up_value(up, next));
            }
            return;
        } else {
            change_attr(up, word);
        }
        word = next;
    }
}

static int is_listed(const char *ops, const char *end, const char *op) {
    size_t length = strlen(op);
    while (ops < end) {
        size_t word = strcspn(ops, " ");
        if (word == length && memcmp(ops, op, length) == 0) {
            return 1;
        }
        ops += word + 1;
    }
    return 0;
}

static void run_steps(feri_upgrade *up) {
    const char *next = NULL;
    for (const char *line = steps; *line != '\0' && up->status == FER_OK; line = next) {
        int64_t since = 0;
        next = strchr(line, '\n') + 1;
        for (; *line != ' '; line++) {
            since = since * 10 + (*line - '0');
        }
        const char *colon = strchr(line, ':');
        if (since > up->draft->version && is_listed(line + 1, colon, up->draft->op)) {
            run_line(up, colon + 2, (size_t)(next - colon - 3));
        }
    }
}

fer_status feri_upgrade_and_append(feri_importer *im, fer_graph *graph, feri_draft *draft) {
    feri_upgrade up;
    memset(&up, 0, sizeof(up));
    up.im = im;
    up.graph = graph;
    up.draft = draft;
    if (draft->domain[0] == '\0') {
        feri_up_drop(&up, draft->version < 6 ? "consumed_inputs" : ""); /* a hint of opset 1 */
        run_steps(&up);
    }
    FER_TRY(up.status);
    FER_TRY(feri_import_append(im, graph, draft));
    if (up.after != NULL) {
        (void)evaluate(&up, up.after, up.after_inputs, 2, &up.after_output, 1);
    }
    return up.status;
}
