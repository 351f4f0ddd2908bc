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
#define MOST_ATTRS 16
#define MOST_NESTED 24

typedef struct bound_name {
    feri_word word;
    fer_value_id value;
    fer_value_id result; /* row output: the node's own value */
    uint8_t is_raw;      /* operand that is still to be cast to f32 on first use */
    uint8_t is_output;   /* row output, not assigned yet while value is FER_NO_VALUE */
} bound_name;

/* The first failure stays: what is read or made after it is nothing. */
typedef struct expander {
    feri_scan scan;
    fer_graph *graph;
    const feri_gnode *node;
    const feri_expand_row *row;
    fer_status status;
    int is_exact;
    uint32_t nested;
    uint32_t count;
    uint32_t number_count, number_capacity;
    feri_number *numbers; /* of the list that is being read */
    feri_number spare;    /* where numbers go after a failure */
    feri_bump scratch;    /* what appended nodes copy */
    bound_name names[MOST_NAMES];
} expander;

static int fail(expander *ex, fer_status status) {
    if (status != FER_OK && ex->status == FER_OK) {
        ex->status = status;
        ex->scan.at = ""; /* so every list ends */
    }
    return status != FER_OK;
}

/* Where reading stopped tells what was expected there. */
static void bad_text(expander *ex) {
    if (ex->status == FER_OK) {
        fail(ex,
             feri_fail(FER_INTERNAL,
                       "the expansion of %s (node '%s') is wrong in line %u, at '%.40s'",
                       ex->row->op,
                       ex->node->name,
                       ex->scan.line,
                       ex->scan.at));
    }
}

static int taken(expander *ex, char mark) { return feri_scan_take(&ex->scan, mark); }

static void want(expander *ex, char mark) {
    if (!taken(ex, mark)) {
        bad_text(ex);
    }
}

static void no_dtype(expander *ex, const char *what, feri_word word) {
    fail(ex,
         feri_fail(FER_UNSUPPORTED,
                   "%s (node '%s') cannot be expanded: the dtype of %s'%.*s' is not known",
                   ex->row->op,
                   ex->node->name,
                   what,
                   (int)word.length,
                   word.text));
}

/* ---- names ---- */

static fer_dtype dtype_of(const expander *ex, fer_value_id id) {
    return id != FER_NO_VALUE ? ex->graph->values[id].fact.dtype : FER_DTYPE_NONE;
}

static int is_half(const expander *ex, fer_value_id id) {
    fer_dtype dtype = dtype_of(ex, id);
    return !ex->is_exact && (dtype == FER_F16 || dtype == FER_BF16);
}

/* A NUL-terminated copy. */
static const char *text_of(expander *ex, feri_word word) {
    const char *text = feri_bump_strndup(&ex->scratch, word.text, word.length);
    if (text == NULL) {
        fail(ex, feri_error_status());
        return "";
    }
    return text;
}

/* A new name without a value. */
static bound_name *bind(expander *ex, feri_word word) {
    if (ex->count == MOST_NAMES) {
        bad_text(ex);
        ex->count--;
    }
    bound_name *name = &ex->names[ex->count++];
    *name = (bound_name){word, FER_NO_VALUE, FER_NO_VALUE, 0, 0};
    return name;
}

static bound_name *find_name(expander *ex, feri_word word) {
    for (uint32_t n = ex->count; n-- > 0;) {
        bound_name *name = &ex->names[n];
        if (name->word.length == word.length &&
            memcmp(name->word.text, word.text, word.length) == 0) {
            return name;
        }
    }
    return NULL;
}

/* Binds the operands that the row's text names ("X:T, xs:T*") to ids: xs0, xs1, ... are made. */
static void bind_operands(expander *ex, const fer_value_id *ids, uint32_t count, int outputs) {
    const char *next = outputs ? ex->row->outputs : ex->row->inputs;
    for (uint32_t at = 0, in_variadic = 0; at < count || !outputs; at++) {
        while (*next == ',' || *next == ' ') {
            next++;
        }
        feri_word word = {next, (uint32_t)strcspn(next, ":")};
        uint32_t whole = (uint32_t)strcspn(next, ",\n");
        int variadic = memchr(next, '*', whole) != NULL;
        if (whole == 0 || (variadic && at >= count)) {
            break;
        }
        if (variadic) {
            word.text = feri_bump_printf(
                &ex->scratch, "%.*s%u", (int)word.length, word.text, in_variadic++);
            if (word.text == NULL) {
                fail(ex, feri_error_status());
                return;
            }
            word.length = (uint32_t)strlen(word.text);
        } else {
            next += whole;
        }
        bound_name *name = bind(ex, word);
        *(outputs ? &name->result : &name->value) = at < count ? ids[at] : FER_NO_VALUE;
        name->is_raw = (uint8_t)!outputs;
        name->is_output = (uint8_t)outputs;
    }
}

/* ---- making nodes ---- */

static fer_value_id new_value(expander *ex) {
    fer_value_id value = FER_NO_VALUE;
    if (ex->status == FER_OK) {
        fail(ex, feri_graph_new_value(ex->graph, NULL, FERI_ORIGIN_NODE, &value));
    }
    return value;
}

/* draft has operands and attributes. */
static void append(expander *ex, const char *op, feri_gnode *draft) {
    feri_gnode *made = NULL;
    if (ex->status != FER_OK || fail(ex, feri_op_find_for("", op, ex->node->name, &draft->op))) {
        return;
    }
    draft->name = ex->node->name;
    draft->source = ex->node->source;
    draft->revision = draft->op->revision;
    draft->formal_count = draft->input_count;
    if (!fail(ex, feri_graph_append_node(ex->graph, draft, &made))) {
        fail(ex, feri_graph_infer_node(ex->graph, made));
    }
}

/* A Cast of from, or a CastLike where dtype comes from a value. */
static fer_value_id
append_cast(expander *ex, fer_value_id from, fer_dtype dtype, fer_value_id like, fer_value_id to) {
    fer_value_id inputs[] = {from, like};
    fer_attr attr = {.name = "to", .type = FER_ATTR_INT, .count = 1, .value = {.i = dtype}};
    int is_like = like != FER_NO_VALUE;
    feri_gnode draft = {.inputs = inputs,
                        .input_count = is_like ? 2 : 1,
                        .outputs = &to,
                        .output_count = 1,
                        .attrs = &attr,
                        .attr_count = !is_like};
    append(ex, is_like ? "CastLike" : "Cast", &draft);
    return to;
}

/* The value of a name; an operand in f16 or bf16 is cast the first time. */
static fer_value_id use_name(expander *ex, feri_word word) {
    bound_name *name = find_name(ex, word);
    if (name == NULL || (name->is_output && name->value == FER_NO_VALUE)) {
        bad_text(ex);
        return FER_NO_VALUE;
    }
    if (name->is_raw && is_half(ex, name->value)) {
        name->value = append_cast(ex, name->value, FER_F32, FER_NO_VALUE, new_value(ex));
    }
    name->is_raw = 0;
    return name->value;
}

/* The dtype a word stands for: of a value, or its own name. Where a value's is not known, out_like
 * (if there is one) gets the value, and the dtype is that of all text constants. */
static fer_dtype word_dtype(expander *ex, feri_word word, fer_value_id *out_like) {
    fer_dtype dtype;
    if (find_name(ex, word) != NULL) {
        fer_value_id value = use_name(ex, word);
        dtype = dtype_of(ex, value);
        if (dtype == FER_DTYPE_NONE && ex->is_exact && out_like != NULL) {
            *out_like = value;
            return FER_F32;
        }
        if (dtype == FER_DTYPE_NONE) {
            no_dtype(ex, "", word);
        }
        return dtype;
    }
    dtype = fer_dtype_from_name(text_of(ex, word));
    if (dtype == FER_DTYPE_NONE) {
        bad_text(ex);
    }
    return dtype;
}

/* ---- numbers ---- */

/* Room for the next number of the list. */
static feri_number *new_number(expander *ex) {
    if (ex->status != FER_OK || fail(ex,
                                     feri_bump_grow(&ex->scratch,
                                                    &ex->numbers,
                                                    &ex->number_capacity,
                                                    ex->number_count + 1,
                                                    sizeof(feri_number)))) {
        return &ex->spare;
    }
    return &ex->numbers[ex->number_count++];
}

/* All numbers of an attribute that has some. */
static void push_entries(expander *ex, const fer_attr *attr) {
    uint32_t count;
    const void *entries = feri_attr_entries(attr, &count);
    for (uint32_t n = 0; n < count; n++) {
        feri_number *number = new_number(ex);
        number->is_float = feri_attr_entry(attr) == FERI_ENTRY_FLOAT;
        if (number->is_float) {
            number->f = (double)((const float *)entries)[n];
        } else {
            number->i = ((const int64_t *)entries)[n];
            number->f = (double)number->i;
        }
    }
}

static void scan_number(expander *ex) {
    if (!feri_scan_number(&ex->scan, new_number(ex))) {
        bad_text(ex);
    }
}

/* After '@': the attribute of the expanded node, or NULL. */
static const fer_attr *own_attr(expander *ex) {
    feri_word word = feri_scan_word(&ex->scan);
    if (word.length == 0) {
        bad_text(ex);
    }
    return feri_attr_find(ex->node->attrs, ex->node->attr_count, text_of(ex, word));
}

/* A number, @attr (all numbers of a list) or @attr|number. Attributes that no row judged yet are
 * the model's, and may be anything. */
static void push_numbers(expander *ex) {
    if (!taken(ex, '@')) {
        scan_number(ex);
        return;
    }
    const char *start = ex->scan.at;
    const fer_attr *attr = own_attr(ex);
    uint32_t before = ex->number_count;
    int entry = attr != NULL ? feri_attr_entry(attr) : FERI_ENTRY_OTHER;
    int has_other = taken(ex, '|');
    if (has_other) {
        scan_number(ex);
    }
    if (entry == FERI_ENTRY_INT || entry == FERI_ENTRY_FLOAT) {
        ex->number_count = before;
        push_entries(ex, attr);
    } else if (ex->status != FER_OK) {
        return;
    } else if (attr == NULL && has_other) { /* the default of a float attribute is one of 32 bits */
        ex->numbers[before].f = (double)(float)ex->numbers[before].f;
    } else {
        fail(ex,
             feri_fail(FER_INVALID_MODEL,
                       "node '%s' (%s) needs numbers in attribute '%.*s'",
                       ex->node->name,
                       ex->row->op,
                       (int)strcspn(start, " :,|}]"),
                       start));
    }
}

/* Numbers up to a closing mark. */
static void read_list(expander *ex, char close) {
    ex->number_count = 0;
    while (!taken(ex, close) && ex->status == FER_OK) {
        push_numbers(ex);
        (void)taken(ex, ',');
    }
}

static fer_value_id make_constant(expander *ex, fer_dtype dtype, int is_scalar) {
    int64_t dim = ex->number_count;
    fer_tensor *tensor = NULL;
    fer_value_id value = FER_NO_VALUE;
    if (is_scalar && dim != 1) {
        bad_text(ex);
    }
    if (ex->status != FER_OK ||
        fail(ex,
             fer_tensor_create(
                 (fer_context *)(void *)ex->graph->env, dtype, !is_scalar, &dim, &tensor))) {
        return value;
    }
    void *data = fer_tensor_data(tensor);
    int is_float = feri_dtype_class(dtype) == FERI_CLASS_FLOAT;
    for (uint32_t n = 0; n < ex->number_count; n++) {
        feri_number number = ex->numbers[n];
        if (is_float) {
            feri_store_run_f64(dtype, data, n, 1, &number.f, /*saturate=*/1);
            continue;
        }
        if (number.is_float) { /* an attribute's may be anything: what no integer holds is 0 */
            number.i = number.f >= -0x1p63 && number.f < 0x1p63 ? (int64_t)number.f : 0;
        }
        feri_store_run_i64(dtype, data, n, 1, &number.i);
    }
    fail(ex, feri_graph_new_constant(ex->graph, NULL, tensor, &value));
    fer_tensor_release(tensor);
    return value;
}

static int is_number_word(feri_word word) {
    return word.length == 0 || feri_word_is(word, "inf") || feri_word_is(word, "nan");
}

/* After '{'. */
static fer_value_id constant(expander *ex) {
    feri_word word = feri_scan_word(&ex->scan);
    fer_value_id like = FER_NO_VALUE;
    if (is_number_word(word)) {
        ex->scan.at = word.text;
        read_list(ex, ':');
        fer_dtype dtype = word_dtype(ex, feri_scan_word(&ex->scan), &like);
        want(ex, '}');
        fer_value_id value = make_constant(ex, dtype, /*is_scalar=*/1);
        return like == FER_NO_VALUE ? value : append_cast(ex, value, 0, like, new_value(ex));
    }
    fer_dtype dtype = word_dtype(ex, word, NULL);
    want(ex, ':');
    read_list(ex, '}');
    return make_constant(ex, dtype, taken(ex, '\''));
}

/* ---- attributes ---- */

/* attr is the numbers that were read: a list of them, or the one. */
static void take_numbers(expander *ex, fer_attr *attr, int is_list) {
    uint32_t count = ex->number_count;
    void *entries = &attr->value;
    int is_float = 0;
    if (is_list) {
        entries = FERI_BUMP_ARRAY(&ex->scratch, int64_t, count);
        if (entries == NULL) {
            fail(ex, feri_error_status());
            return;
        }
        attr->count = count;
        attr->value.ints = entries;
    }
    for (uint32_t n = 0; n < count; n++) {
        is_float |= ex->numbers[n].is_float;
    }
    attr->type =
        (is_float ? FER_ATTR_FLOAT : FER_ATTR_INT) + (is_list ? FER_ATTR_INTS - FER_ATTR_INT : 0);
    for (uint32_t n = 0; n < count; n++) {
        if (is_float) {
            ((float *)entries)[n] = (float)ex->numbers[n].f;
        } else {
            ((int64_t *)entries)[n] = ex->numbers[n].i;
        }
    }
}

/* After '@': 0 when the expanded node lacks the attribute and no other number is given. */
static int copied_attr(expander *ex, fer_attr *attr) {
    const char *name = attr->name;
    const fer_attr *own = own_attr(ex);
    int has_other = taken(ex, '|');
    if (has_other) {
        scan_number(ex);
        take_numbers(ex, attr, /*is_list=*/0);
    }
    if (own != NULL) {
        *attr = *own;
        attr->name = name;
    }
    return own != NULL || has_other;
}

/* After "name =": 0 when the expanded node lacks what @ asks for. */
static int attribute(expander *ex, feri_word name, fer_attr *attr) {
    feri_word word;
    memset(attr, 0, sizeof(*attr));
    attr->count = 1;
    attr->name = text_of(ex, name);
    ex->number_count = 0;
    if (taken(ex, '@')) {
        return copied_attr(ex, attr);
    }
    if (feri_scan_quoted(&ex->scan, &word)) {
        attr->type = FER_ATTR_STRING;
        attr->value.s = (fer_string){word.text, word.length};
        return 1;
    }
    int is_list = taken(ex, '[');
    if (is_list) {
        read_list(ex, ']');
    } else {
        word = feri_scan_word(&ex->scan);
        if (is_number_word(word)) {
            ex->scan.at = word.text;
            scan_number(ex);
        } else {
            *new_number(ex) = (feri_number){.i = word_dtype(ex, word, NULL)};
        }
    }
    take_numbers(ex, attr, is_list);
    return 1;
}

/* ---- calls ---- */

static void call(expander *ex, feri_word op, fer_value_id *outputs, uint32_t output_count);

static fer_value_id operand(expander *ex, feri_word word) {
    if (word.length == 0) {
        want(ex, '{');
        return constant(ex);
    }
    if (feri_word_is(word, "_")) {
        return FER_NO_VALUE;
    }
    if (taken(ex, '(')) {
        fer_value_id value = new_value(ex);
        call(ex, word, &value, 1);
        return value;
    }
    return use_name(ex, word);
}

/* After "Op(". */
static void call(expander *ex, feri_word op, fer_value_id *outputs, uint32_t output_count) {
    fer_value_id inputs[MOST_OPERANDS];
    fer_attr attrs[MOST_ATTRS];
    feri_gnode draft = {
        .inputs = inputs, .outputs = outputs, .output_count = output_count, .attrs = attrs};
    if (ex->nested++ >= MOST_NESTED) {
        bad_text(ex);
    }
    while (!taken(ex, ')') && ex->status == FER_OK) {
        feri_word word = feri_scan_word(&ex->scan);
        if (draft.attr_count == MOST_ATTRS || draft.input_count == MOST_OPERANDS) {
            bad_text(ex);
        } else if (word.length > 0 && taken(ex, '=')) {
            draft.attr_count += (uint32_t)attribute(ex, word, &attrs[draft.attr_count]);
        } else {
            inputs[draft.input_count++] = operand(ex, word);
        }
        (void)taken(ex, ',');
    }
    draft.input_count = feri_without_tail(inputs, draft.input_count);
    ex->nested--;
    append(ex, text_of(ex, op), &draft);
}

/* ---- statements ---- */

/* What an assigned word names: NULL for "_". */
static bound_name *target(expander *ex, feri_word word) {
    if (feri_word_is(word, "_")) {
        return NULL;
    }
    bound_name *name = find_name(ex, word);
    if (word.length == 0 || (name != NULL && (!name->is_output || name->value != FER_NO_VALUE))) {
        bad_text(ex);
    }
    return name != NULL ? name : bind(ex, word);
}

/* The value it gets: the node's own output, unless a cast has to follow. */
static fer_value_id assign(expander *ex, bound_name *name) {
    if (name == NULL) {
        return FER_NO_VALUE;
    }
    name->value =
        name->result != FER_NO_VALUE && !is_half(ex, name->result) ? name->result : new_value(ex);
    return name->value;
}

/* After "name = @": a body of the expanded node, applied to a name. */
static fer_value_id body_statement(expander *ex) {
    const char *attr = text_of(ex, feri_scan_word(&ex->scan));
    want(ex, '(');
    fer_value_id value = use_name(ex, feri_scan_word(&ex->scan));
    want(ex, ')');
    if (FERI_HAS_OP(preview_FlexAttention) && ex->status == FER_OK) {
        fail(ex, feri_expand_body(ex->graph, ex->node, attr, value, &value));
    }
    return value;
}

static void statement(expander *ex) {
    bound_name *targets[MOST_OPERANDS];
    fer_value_id values[MOST_OPERANDS];
    uint32_t count = 0;
    do {
        targets[count++] = target(ex, feri_scan_word(&ex->scan));
        if (count == MOST_OPERANDS) {
            bad_text(ex);
        }
    } while (taken(ex, ','));
    want(ex, '=');
    int is_constant = taken(ex, '{');
    if (is_constant || taken(ex, '@')) {
        fer_value_id value = is_constant ? constant(ex) : body_statement(ex);
        if (targets[0] != NULL) {
            targets[0]->value = value;
        }
        return;
    }
    feri_word op = feri_scan_word(&ex->scan);
    want(ex, '(');
    for (uint32_t t = 0; t < count; t++) {
        values[t] = assign(ex, targets[t]);
    }
    call(ex, op, values, count);
}

/* Every output the node wants, cast back where it was widened. */
static void deliver(expander *ex) {
    for (uint32_t n = 0; n < ex->count; n++) {
        const bound_name *name = &ex->names[n];
        if (!name->is_output || name->result == FER_NO_VALUE) {
            continue;
        }
        if (name->value == FER_NO_VALUE) {
            bad_text(ex);
        } else if (name->value != name->result) {
            append_cast(ex, name->value, dtype_of(ex, name->result), FER_NO_VALUE, name->result);
        }
    }
}

static void run_text(expander *ex) {
    const feri_gnode *node = ex->node;
    ex->is_exact |= feri_scan_exact(&ex->scan);
    bind_operands(ex, node->inputs, node->formal_count, /*outputs=*/0);
    bind_operands(ex, node->outputs, node->output_count, /*outputs=*/1);
    for (uint32_t n = 0; n < ex->count; n++) {
        const bound_name *name = &ex->names[n];
        if (name->result != FER_NO_VALUE && dtype_of(ex, name->result) == FER_DTYPE_NONE &&
            !ex->is_exact) {
            no_dtype(ex, "output ", name->word);
        }
    }
    while (ex->status == FER_OK && feri_scan_next_line(&ex->scan)) {
        statement(ex);
        if (!feri_scan_line_is_over(&ex->scan)) {
            bad_text(ex);
        }
    }
    deliver(ex);
}

static fer_status expand(fer_graph *graph,
                         const feri_gnode *node,
                         const feri_expand_row *row,
                         const char *text,
                         fer_value_id *out_value) {
    expander *ex = feri_alloc(graph->env, sizeof(*ex));
    if (ex == NULL) {
        return feri_error_status();
    }
    ex->graph = graph;
    ex->node = node;
    ex->row = row;
    ex->is_exact = out_value != NULL;
    feri_bump_init(&ex->scratch, graph->env);
    feri_scan_start(&ex->scan, text);
    run_text(ex);
    if (out_value != NULL) {
        *out_value = ex->names[ex->count > 0 ? ex->count - 1 : 0].value;
    }
    fer_status status = ex->status;
    feri_bump_finish(&ex->scratch);
    feri_free(graph->env, ex, sizeof(*ex));
    return status;
}

fer_status feri_expand_text(fer_graph *graph, const feri_gnode *node, const char *body) {
    const feri_expand_row row = {feri_op_name(node->op),
                                 feri_op_text(node->op, FERI_COLUMN_INPUTS),
                                 feri_op_text(node->op, FERI_COLUMN_OUTPUTS)};
    return expand(graph, node, &row, body, NULL);
}

fer_status feri_expand_row_text(fer_graph *graph,
                                const feri_gnode *node,
                                const feri_expand_row *row,
                                const char *body) {
    return expand(graph, node, row, body, NULL);
}

fer_status feri_expand_value(fer_graph *graph,
                             const feri_gnode *node,
                             const char *op,
                             const char *text,
                             fer_value_id *out_value) {
    const feri_expand_row row = {op, "i:T*", "o:T*"};
    return expand(graph, node, &row, text, out_value);
}

/* ---- replacing a node ---- */

static fer_status write_text(fer_graph *graph, const feri_gnode *node, feri_text *body) {
    uint64_t count = (uint64_t)node->input_count + node->output_count;
    feri_fact **facts = FERI_BUMP_ARRAY(&graph->bump, feri_fact *, count);
    if (facts == NULL) {
        return feri_error_status();
    }
    feri_infer asked = feri_node_call(graph, node, facts, &graph->bump);
    return feri_op_expand(&asked, body);
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
    if (node->op->expansion == 0) {
        return feri_fail(FER_UNSUPPORTED,
                         "op '%s' (node '%s') has no expansion into simpler ops",
                         feri_op_name(node->op),
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
