/* SPDX-License-Identifier: Apache-2.0
 *
 * Expansions: an op as simpler ones, from the text form of expand.h. feri_graph_expand_node asks
 * the op's row for its text and replaces the node; on failure the graph is as before. The texts are
 * ours (lib/op), so a malformed one is INTERNAL. Scanning is in expand_scan.c.
 */
#include "graph/expand.h"

#include "base/error.h"
#include "ferrule/op_selection.h"
#include "graph/expand_scan.h"
#include "tensor/dtype.h"

#include <string.h>

#define MOST_NAMES 512
#define MOST_OPERANDS 64
#define MOST_NESTED 24

typedef struct bound_name {
    const char *text;
    uint32_t length;
    uint32_t suffix; /* 1 + number in a variadic operand, 0 none */
    fer_value_id value;
    uint8_t is_raw;      /* operand that is still to be cast to f32 on first use */
    uint8_t is_output;   /* row output, not assigned yet while value is FER_NO_VALUE */
    fer_value_id result; /* row output: the node's own value */
} bound_name;

typedef struct expander {
    fer_graph *graph;
    const feri_gnode *node;
    feri_scan scan;
    int is_exact;
    uint32_t nested;
    uint32_t count;
    bound_name names[MOST_NAMES];
} expander;

/* Where reading stopped tells what was expected there. */
static fer_status bad_text(const expander *ex) {
    return feri_fail(FER_INTERNAL,
                     "the expansion of %s (node '%s') is wrong in line %u, at '%.40s'",
                     ex->node->op->name,
                     ex->node->name,
                     ex->scan.line,
                     ex->scan.at);
}

/* ---- names ---- */

static int is_half(fer_dtype dtype) { return dtype == FER_F16 || dtype == FER_BF16; }

static fer_status bind(expander *ex, bound_name name) {
    if (ex->count == MOST_NAMES) {
        return bad_text(ex);
    }
    ex->names[ex->count++] = name;
    return FER_OK;
}

static int name_is(const bound_name *name, feri_word word) {
    char suffix[12] = "";
    if (name->suffix > 0) {
        feri_scan_decimal(name->suffix - 1, suffix);
    }
    size_t tail = strlen(suffix);
    return word.length == name->length + tail && memcmp(word.text, name->text, name->length) == 0 &&
           memcmp(word.text + name->length, suffix, tail) == 0;
}

static bound_name *find_name(expander *ex, feri_word word) {
    for (uint32_t n = ex->count; n-- > 0;) {
        if (name_is(&ex->names[n], word)) {
            return &ex->names[n];
        }
    }
    return NULL;
}

/* Binds the operands that the row's text names ("X:T, xs:T*") to ids. */
static fer_status
bind_operands(expander *ex, const char *row, const fer_value_id *ids, uint32_t count, int outputs) {
    uint32_t at = 0;
    uint32_t in_variadic = 0;
    const char *next = row;
    while (at < count || !outputs) {
        const char *start = next + strspn(next, ", ");
        uint32_t length = (uint32_t)strcspn(start, ":");
        uint32_t whole = (uint32_t)strcspn(start, ",\n");
        int variadic = memchr(start, '*', whole) != NULL;
        if (whole == 0 || (variadic && at >= count)) {
            break;
        }
        fer_value_id id = at < count ? ids[at] : FER_NO_VALUE;
        bound_name name = {.text = start,
                           .length = length,
                           .suffix = variadic ? ++in_variadic : 0,
                           .value = outputs ? FER_NO_VALUE : id,
                           .is_raw = (uint8_t)!outputs,
                           .is_output = (uint8_t)outputs,
                           .result = outputs ? id : FER_NO_VALUE};
        FER_TRY(bind(ex, name));
        at++;
        if (!variadic) {
            next = start + whole;
        }
    }
    return FER_OK;
}

/* ---- making nodes ---- */

static fer_status append(expander *ex, feri_gnode *draft) {
    draft->name = ex->node->name;
    draft->source = ex->node->source;
    draft->revision = draft->op->revision;
    draft->formal_count = draft->input_count;
    feri_gnode *made = NULL;
    FER_TRY(feri_graph_append_node(ex->graph, draft, &made));
    return feri_graph_infer_node(ex->graph, made);
}

static fer_status
append_cast(expander *ex, fer_value_id from, fer_dtype to, fer_value_id *in_out_value) {
    if (*in_out_value == FER_NO_VALUE) {
        FER_TRY(feri_graph_new_value(ex->graph, NULL, FERI_ORIGIN_NODE, in_out_value));
    }
    fer_attr attr = {.name = "to", .type = FER_ATTR_INT, .count = 1, .value = {.i = to}};
    feri_gnode draft = {.op = feri_op_find("", "Cast"),
                        .inputs = &from,
                        .input_count = 1,
                        .outputs = in_out_value,
                        .output_count = 1,
                        .attrs = &attr,
                        .attr_count = 1};
    if (draft.op == NULL) {
        return bad_text(ex);
    }
    return append(ex, &draft);
}

/* The value of a name; an operand in f16 or bf16 is cast the first time. */
static fer_status use_name(expander *ex, feri_word word, fer_value_id *out_value) {
    bound_name *name = find_name(ex, word);
    if (name == NULL || (name->is_output && name->value == FER_NO_VALUE)) {
        return bad_text(ex);
    }
    if (name->is_raw && name->value != FER_NO_VALUE && !ex->is_exact &&
        is_half(ex->graph->values[name->value].fact.dtype)) {
        fer_value_id wide = FER_NO_VALUE;
        FER_TRY(append_cast(ex, name->value, FER_F32, &wide));
        name->value = wide;
    }
    name->is_raw = 0;
    *out_value = name->value;
    return FER_OK;
}

/* The dtype a word stands for: of a value, or its own name. */
static fer_status word_dtype(expander *ex, feri_word word, fer_dtype *out_dtype) {
    if (find_name(ex, word) != NULL) {
        fer_value_id value = FER_NO_VALUE;
        FER_TRY(use_name(ex, word, &value));
        *out_dtype = value != FER_NO_VALUE ? ex->graph->values[value].fact.dtype : FER_DTYPE_NONE;
        if (*out_dtype != FER_DTYPE_NONE) {
            return FER_OK;
        }
        return feri_fail(FER_UNSUPPORTED,
                         "%s (node '%s') cannot be expanded: the dtype of '%.*s' is not known",
                         ex->node->op->name,
                         ex->node->name,
                         (int)word.length,
                         word.text);
    }
    char text[16] = "";
    if (word.length < sizeof(text)) {
        memcpy(text, word.text, word.length);
    }
    *out_dtype = fer_dtype_from_name(text);
    return *out_dtype != FER_DTYPE_NONE ? FER_OK : bad_text(ex);
}

/* ---- constants ---- */

static fer_status own_attr(expander *ex, feri_word word, const fer_attr **out_attr) {
    char text[64] = "";
    if (word.length == 0 || word.length >= sizeof(text)) {
        return bad_text(ex);
    }
    memcpy(text, word.text, word.length);
    *out_attr = feri_attr_find(ex->node->attrs, ex->node->attr_count, text);
    return FER_OK;
}

/* A number, @attr or @attr|number. */
static fer_status number_or_attr(expander *ex, feri_number *out) {
    const fer_attr *attr = NULL;
    if (!feri_scan_take(&ex->scan, '@')) {
        return feri_scan_number(&ex->scan, out) ? FER_OK : bad_text(ex);
    }
    FER_TRY(own_attr(ex, feri_scan_word(&ex->scan), &attr));
    int has_other = feri_scan_take(&ex->scan, '|');
    if (has_other && !feri_scan_number(&ex->scan, out)) {
        return bad_text(ex);
    }
    if (attr == NULL) {
        out->f = (double)(float)out->f; /* the default of a float attribute is one of 32 bits */
        return has_other ? FER_OK : bad_text(ex);
    }
    out->is_float = attr->type == FER_ATTR_FLOAT;
    out->f = attr->type == FER_ATTR_FLOAT ? (double)attr->value.f : (double)attr->value.i;
    out->i = attr->type == FER_ATTR_FLOAT ? 0 : attr->value.i;
    return FER_OK;
}

static fer_status make_constant(expander *ex,
                                fer_dtype dtype,
                                const feri_number *numbers,
                                uint32_t count,
                                int is_scalar,
                                fer_value_id *out_value) {
    int64_t dim = count;
    fer_tensor *tensor = NULL;
    fer_context *context = (fer_context *)(void *)ex->graph->env;
    FER_TRY(fer_tensor_create(context, dtype, is_scalar ? 0 : 1, &dim, &tensor));
    void *data = fer_tensor_data(tensor);
    int is_float = feri_dtype_class(dtype) == FERI_CLASS_FLOAT;
    for (uint32_t n = 0; n < count; n++) {
        double real = numbers[n].is_float ? numbers[n].f : (double)numbers[n].i;
        /* An attribute's float may be anything: what no integer holds is 0. */
        int is_whole = !numbers[n].is_float || (real >= -0x1p63 && real < 0x1p63);
        int64_t whole = !is_whole ? 0 : numbers[n].is_float ? (int64_t)real : numbers[n].i;
        if (is_float) {
            feri_store_run_f64(dtype, data, n, 1, &real, /*saturate=*/1);
        } else {
            feri_store_run_i64(dtype, data, n, 1, &whole);
        }
    }
    fer_status status = feri_graph_new_constant(ex->graph, NULL, tensor, out_value);
    fer_tensor_release(tensor);
    return status;
}

/* "@name}": all numbers of a list attribute. *out_value stays FER_NO_VALUE when it is none. */
static fer_status list_constant(expander *ex, fer_dtype dtype, fer_value_id *out_value) {
    const char *start = ex->scan.at;
    const fer_attr *attr = NULL;
    *out_value = FER_NO_VALUE;
    if (feri_scan_take(&ex->scan, '@')) {
        FER_TRY(own_attr(ex, feri_scan_word(&ex->scan), &attr));
    }
    int is_list = attr && (attr->type == FER_ATTR_FLOATS || attr->type == FER_ATTR_INTS);
    if (!is_list || !feri_scan_take(&ex->scan, '}')) {
        ex->scan.at = start;
        return FER_OK;
    }
    uint64_t bytes = feri_mul_sat(attr->count, sizeof(feri_number));
    feri_number *numbers = feri_alloc(ex->graph->env, bytes);
    if (numbers == NULL) {
        return fer_error_last()->status;
    }
    for (uint32_t n = 0; n < attr->count; n++) {
        numbers[n].is_float = attr->type == FER_ATTR_FLOATS;
        numbers[n].f = numbers[n].is_float ? (double)attr->value.floats[n] : 0;
        numbers[n].i = numbers[n].is_float ? 0 : attr->value.ints[n];
    }
    fer_status status = make_constant(ex, dtype, numbers, attr->count, /*is_scalar=*/0, out_value);
    feri_free(ex->graph->env, numbers, bytes);
    return status;
}

/* After '{'. */
static fer_status constant(expander *ex, fer_value_id *out_value) {
    feri_number numbers[MOST_OPERANDS];
    uint32_t count = 0;
    fer_dtype dtype = FER_DTYPE_NONE;
    feri_word word = feri_scan_word(&ex->scan);
    int number_first = word.length == 0 || feri_word_is(word, "inf") || feri_word_is(word, "nan");
    if (number_first) {
        ex->scan.at = word.text;
        FER_TRY(number_or_attr(ex, &numbers[count++]));
        if (!feri_scan_take(&ex->scan, ':')) {
            return bad_text(ex);
        }
        FER_TRY(word_dtype(ex, feri_scan_word(&ex->scan), &dtype));
        if (!feri_scan_take(&ex->scan, '}')) {
            return bad_text(ex);
        }
        return make_constant(ex, dtype, numbers, count, /*is_scalar=*/1, out_value);
    }
    FER_TRY(word_dtype(ex, word, &dtype));
    if (!feri_scan_take(&ex->scan, ':')) {
        return bad_text(ex);
    }
    FER_TRY(list_constant(ex, dtype, out_value));
    if (*out_value != FER_NO_VALUE) {
        return FER_OK;
    }
    while (!feri_scan_take(&ex->scan, '}')) {
        if (count == MOST_OPERANDS) {
            return bad_text(ex);
        }
        FER_TRY(number_or_attr(ex, &numbers[count++]));
        (void)feri_scan_take(&ex->scan, ',');
    }
    int is_scalar = feri_scan_take(&ex->scan, '\'');
    if (is_scalar && count != 1) {
        return bad_text(ex);
    }
    return make_constant(ex, dtype, numbers, count, is_scalar, out_value);
}

/* ---- attributes ---- */

static fer_status list_attr(expander *ex, fer_attr *attr) {
    feri_number numbers[MOST_OPERANDS];
    uint32_t count = 0;
    int any_float = 0;
    while (!feri_scan_take(&ex->scan, ']')) {
        if (count == MOST_OPERANDS) {
            return bad_text(ex);
        }
        FER_TRY(number_or_attr(ex, &numbers[count]));
        any_float |= numbers[count++].is_float;
        (void)feri_scan_take(&ex->scan, ',');
    }
    int64_t *ints = FERI_BUMP_ARRAY(&ex->graph->bump, int64_t, count);
    float *floats = FERI_BUMP_ARRAY(&ex->graph->bump, float, count);
    if (ints == NULL || floats == NULL) {
        return fer_error_last()->status;
    }
    for (uint32_t n = 0; n < count; n++) {
        ints[n] = numbers[n].i;
        floats[n] = (float)(numbers[n].is_float ? numbers[n].f : (double)numbers[n].i);
    }
    attr->type = any_float ? FER_ATTR_FLOATS : FER_ATTR_INTS;
    attr->count = count;
    if (any_float) {
        attr->value.floats = floats;
    } else {
        attr->value.ints = ints;
    }
    return FER_OK;
}

static void number_attr(fer_attr *attr, feri_number number) {
    attr->count = 1;
    attr->type = number.is_float ? FER_ATTR_FLOAT : FER_ATTR_INT;
    if (number.is_float) {
        attr->value.f = (float)number.f;
    } else {
        attr->value.i = number.i;
    }
}

static fer_status copied_attr(expander *ex, fer_attr *attr, int *out_present) {
    const char *name = attr->name;
    const fer_attr *own = NULL;
    feri_number number;
    FER_TRY(own_attr(ex, feri_scan_word(&ex->scan), &own));
    int has_other = feri_scan_take(&ex->scan, '|');
    if (has_other) {
        if (!feri_scan_number(&ex->scan, &number)) {
            return bad_text(ex);
        }
        number_attr(attr, number);
    }
    if (own != NULL) {
        *attr = *own;
        attr->name = name;
    }
    *out_present = own != NULL || has_other;
    return FER_OK;
}

/* After "name =": *out_present is 0 when the expanded node lacks what @ asks for. */
static fer_status attribute(expander *ex, feri_word name, fer_attr *attr, int *out_present) {
    memset(attr, 0, sizeof(*attr));
    *out_present = 1;
    attr->count = 1;
    attr->name = feri_bump_strndup(&ex->graph->bump, name.text, name.length);
    if (attr->name == NULL) {
        return fer_error_last()->status;
    }
    if (feri_scan_take(&ex->scan, '@')) {
        return copied_attr(ex, attr, out_present);
    }
    if (feri_scan_take(&ex->scan, '[')) {
        return list_attr(ex, attr);
    }
    feri_word word;
    if (feri_scan_quoted(&ex->scan, &word)) {
        attr->type = FER_ATTR_STRING;
        attr->value.s = (fer_string){word.text, word.length};
        return FER_OK;
    }
    word = feri_scan_word(&ex->scan);
    if (word.length > 0 && !feri_word_is(word, "inf") && !feri_word_is(word, "nan")) {
        fer_dtype dtype = FER_DTYPE_NONE;
        FER_TRY(word_dtype(ex, word, &dtype));
        number_attr(attr, (feri_number){.i = dtype});
        return FER_OK;
    }
    feri_number number;
    ex->scan.at = word.text;
    if (!feri_scan_number(&ex->scan, &number)) {
        return bad_text(ex);
    }
    number_attr(attr, number);
    return FER_OK;
}

/* ---- calls ---- */

static fer_status call(expander *ex, feri_word op, fer_value_id *outputs, uint32_t output_count);

static fer_status operand(expander *ex, feri_word word, fer_value_id *out_value) {
    *out_value = FER_NO_VALUE;
    if (word.length == 0) {
        return feri_scan_take(&ex->scan, '{') ? constant(ex, out_value) : bad_text(ex);
    }
    if (feri_word_is(word, "_")) {
        return FER_OK;
    }
    if (feri_scan_take(&ex->scan, '(')) {
        FER_TRY(feri_graph_new_value(ex->graph, NULL, FERI_ORIGIN_NODE, out_value));
        return call(ex, word, out_value, 1);
    }
    return use_name(ex, word, out_value);
}

/* After "Op(". */
static fer_status call(expander *ex, feri_word op, fer_value_id *outputs, uint32_t output_count) {
    fer_value_id inputs[MOST_OPERANDS];
    fer_attr attrs[16];
    feri_gnode draft = {
        .inputs = inputs, .outputs = outputs, .output_count = output_count, .attrs = attrs};
    char name[64] = "";
    if (op.length >= sizeof(name) || ex->nested++ >= MOST_NESTED) {
        return bad_text(ex);
    }
    memcpy(name, op.text, op.length);
    draft.op = feri_op_find("", name);
    if (draft.op == NULL) {
        return bad_text(ex);
    }
    while (!feri_scan_take(&ex->scan, ')')) {
        feri_word word = feri_scan_word(&ex->scan);
        if (word.length > 0 && feri_scan_take(&ex->scan, '=')) {
            int present = 0;
            if (draft.attr_count == 16) {
                return bad_text(ex);
            }
            FER_TRY(attribute(ex, word, &attrs[draft.attr_count], &present));
            draft.attr_count += (uint32_t)present;
        } else if (draft.input_count == MOST_OPERANDS) {
            return bad_text(ex);
        } else {
            FER_TRY(operand(ex, word, &inputs[draft.input_count]));
            draft.input_count++;
        }
        (void)feri_scan_take(&ex->scan, ',');
        if (feri_scan_at_end(&ex->scan)) {
            return bad_text(ex);
        }
    }
    while (draft.input_count > 0 && inputs[draft.input_count - 1] == FER_NO_VALUE) {
        draft.input_count--;
    }
    ex->nested--;
    return append(ex, &draft);
}

/* ---- statements ---- */

/* The value an assigned name gets: the node's own output, unless a cast has to follow. */
static fer_status assign(expander *ex, feri_word word, fer_value_id *out_value) {
    *out_value = FER_NO_VALUE;
    if (feri_word_is(word, "_")) {
        return FER_OK;
    }
    bound_name *name = find_name(ex, word);
    if (name != NULL && (!name->is_output || name->value != FER_NO_VALUE)) {
        return bad_text(ex);
    }
    int is_own = name != NULL && name->result != FER_NO_VALUE &&
                 (ex->is_exact || !is_half(ex->graph->values[name->result].fact.dtype));
    if (is_own) {
        *out_value = name->result;
    } else {
        FER_TRY(feri_graph_new_value(ex->graph, NULL, FERI_ORIGIN_NODE, out_value));
    }
    if (name != NULL) {
        name->value = *out_value;
        return FER_OK;
    }
    return bind(ex, (bound_name){.text = word.text, .length = word.length, .value = *out_value});
}

/* After "name = @": a body of the expanded node, applied to a name. */
static fer_status body_statement(expander *ex, feri_word target) {
    char attr[32] = "";
    fer_value_id value = FER_NO_VALUE;
    feri_word word = feri_scan_word(&ex->scan);
    if (word.length >= sizeof(attr) || !feri_scan_take(&ex->scan, '(')) {
        return bad_text(ex);
    }
    memcpy(attr, word.text, word.length);
    FER_TRY(use_name(ex, feri_scan_word(&ex->scan), &value));
    if (!feri_scan_take(&ex->scan, ')')) {
        return bad_text(ex);
    }
    if (FERI_HAS_OP(preview_FlexAttention)) {
        FER_TRY(feri_expand_body(ex->graph, ex->node, attr, value, &value));
    }
    return bind(ex, (bound_name){.text = target.text, .length = target.length, .value = value});
}

static fer_status statement(expander *ex) {
    feri_word targets[MOST_OPERANDS];
    fer_value_id values[MOST_OPERANDS];
    uint32_t count = 0;
    do {
        if (count == MOST_OPERANDS) {
            return bad_text(ex);
        }
        targets[count] = feri_scan_word(&ex->scan);
        if (targets[count++].length == 0) {
            return bad_text(ex);
        }
    } while (feri_scan_take(&ex->scan, ','));
    if (!feri_scan_take(&ex->scan, '=')) {
        return bad_text(ex);
    }
    if (count == 1 && feri_scan_take(&ex->scan, '{')) {
        fer_value_id value = FER_NO_VALUE;
        FER_TRY(constant(ex, &value));
        return bind(
            ex, (bound_name){.text = targets[0].text, .length = targets[0].length, .value = value});
    }
    if (count == 1 && feri_scan_take(&ex->scan, '@')) {
        return body_statement(ex, targets[0]);
    }
    feri_word op = feri_scan_word(&ex->scan);
    if (op.length == 0 || !feri_scan_take(&ex->scan, '(')) {
        return bad_text(ex);
    }
    for (uint32_t t = 0; t < count; t++) {
        FER_TRY(assign(ex, targets[t], &values[t]));
    }
    return call(ex, op, values, count);
}

/* Every output the node wants, cast back where it was widened. */
static fer_status deliver(expander *ex) {
    for (uint32_t n = 0; n < ex->count; n++) {
        bound_name *name = &ex->names[n];
        if (!name->is_output || name->result == FER_NO_VALUE) {
            continue;
        }
        if (name->value == FER_NO_VALUE) {
            return bad_text(ex);
        }
        if (name->value != name->result) {
            fer_value_id result = name->result;
            fer_dtype dtype = ex->graph->values[result].fact.dtype;
            FER_TRY(append_cast(ex, name->value, dtype, &result));
        }
    }
    return FER_OK;
}

static fer_status run_text(expander *ex) {
    const feri_gnode *node = ex->node;
    FER_TRY(bind_operands(ex,
                          feri_op_line(node->op, FERI_LINE_INPUTS),
                          node->inputs,
                          node->formal_count,
                          /*outputs=*/0));
    FER_TRY(bind_operands(ex,
                          feri_op_line(node->op, FERI_LINE_OUTPUTS),
                          node->outputs,
                          node->output_count,
                          /*outputs=*/1));
    for (uint32_t o = 0; o < node->output_count; o++) {
        if (node->outputs[o] != FER_NO_VALUE &&
            ex->graph->values[node->outputs[o]].fact.dtype == FER_DTYPE_NONE) {
            return feri_fail(FER_UNSUPPORTED,
                             "%s (node '%s') cannot be expanded: the dtype of output %u is not "
                             "known",
                             node->op->name,
                             node->name,
                             o);
        }
    }
    ex->is_exact = feri_scan_exact(&ex->scan);
    while (feri_scan_next_line(&ex->scan)) {
        FER_TRY(statement(ex));
        if (!feri_scan_line_is_over(&ex->scan)) {
            return bad_text(ex);
        }
    }
    return deliver(ex);
}

fer_status feri_expand_text(fer_graph *graph, const feri_gnode *node, const char *body) {
    expander *ex = feri_alloc(graph->env, sizeof(*ex));
    if (ex == NULL) {
        return fer_error_last()->status;
    }
    ex->graph = graph;
    ex->node = node;
    feri_scan_start(&ex->scan, body);
    fer_status status = run_text(ex);
    feri_free(graph->env, ex, sizeof(*ex));
    return status;
}

/* ---- replacing a node ---- */

static fer_status write_text(fer_graph *graph, const feri_gnode *node, feri_text *body) {
    uint64_t count = (uint64_t)node->input_count + node->output_count;
    feri_fact **facts = FERI_BUMP_ARRAY(&graph->bump, feri_fact *, count);
    if (facts == NULL) {
        return fer_error_last()->status;
    }
    feri_infer asked = feri_node_call(graph, node, facts, &graph->bump);
    FER_TRY(node->op->expand(&asked, body));
    return body->status;
}

static void restore(fer_graph *graph, uint32_t node_count, uint32_t value_count) {
    graph->root->total_nodes -= graph->node_count - node_count;
    graph->node_count = node_count;
    for (uint32_t v = value_count; v < graph->value_count; v++) {
        fer_tensor_release(graph->values[v].constant);
        graph->values[v].constant = NULL;
    }
    graph->value_count = value_count;
    feri_graph_reindex(graph);
}

fer_status feri_graph_expand_node(fer_graph *graph, uint32_t node_index) {
    feri_gnode *node = graph->nodes[node_index];
    if (node->op->expand == NULL) {
        return feri_fail(FER_UNSUPPORTED,
                         "op '%s' (node '%s') has no expansion into simpler ops",
                         node->op->name,
                         node->name);
    }
    uint32_t node_count = graph->node_count;
    uint32_t value_count = graph->value_count;
    feri_text body;
    feri_text_init(&body, graph->env);
    fer_status status = write_text(graph, node, &body);
    if (status == FER_OK) {
        status = feri_expand_text(graph, node, body.data != NULL ? body.data : "");
    }
    feri_text_finish(&body);
    if (status != FER_OK) {
        restore(graph, node_count, value_count);
        feri_error_set_node(node->name);
        return status;
    }
    node->is_dead = 1;
    return FER_OK;
}
