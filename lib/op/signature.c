/* SPDX-License-Identifier: Apache-2.0
 *
 * The row's text as facts: arity, which operands are optional or decide shapes, attribute names and
 * kinds, dtypes. feri_op_check holds a node against its row before inference looks at it; the
 * importer, the builder and graph/verify go through it. The text is read in place, nothing is
 * cached: a check costs about a microsecond.
 */
#include "base/error.h"
#include "op/infer.h"
#include "tensor/dtype.h"

#include <stdio.h>
#include <string.h>

/* One operand of "name:type?#*". */
typedef struct operand {
    const char *name;
    const char *type;
    uint32_t name_length;
    uint32_t type_length;
    uint8_t is_optional;
    uint8_t is_variadic;
    uint8_t is_mixed; /* variadic of several types */
    uint8_t decides;
} operand;

/* Reads the operand at text and returns what follows it, NULL at the end. */
static const char *next_operand(const char *text, operand *out) {
    memset(out, 0, sizeof(*out));
    while (*text == ',' || *text == ' ') {
        text++;
    }
    if (*text == '\0') {
        return NULL;
    }
    const char *colon = strchr(text, ':');
    out->name = text;
    out->name_length = (uint32_t)(colon - text);
    out->type = colon + 1;
    out->type_length = (uint32_t)strcspn(out->type, ",?#*");
    const char *mark = out->type + out->type_length;
    for (; *mark != '\0' && *mark != ','; mark++) {
        out->is_optional |= *mark == '?';
        out->decides |= *mark == '#';
        out->is_mixed |= *mark == '*' && out->is_variadic;
        out->is_variadic |= *mark == '*';
    }
    return mark;
}

/* The operand at index (the variadic one for all that follow it); 0 when there is none. */
static int find_operand(const feri_op *op, uint32_t line, uint32_t index, operand *out) {
    const char *text = feri_op_line(op, line);
    for (uint32_t i = 0; (text = next_operand(text, out)) != NULL; i++) {
        if (i == index || out->is_variadic) {
            return 1;
        }
    }
    return 0;
}

static uint32_t least_count(const feri_op *op, uint32_t line) {
    const char *text = feri_op_line(op, line);
    operand at;
    uint32_t least = 0;
    for (uint32_t i = 1; (text = next_operand(text, &at)) != NULL; i++) {
        least = at.is_optional || at.is_variadic ? least : i;
    }
    return least;
}

static uint32_t most_count(const feri_op *op, uint32_t line) {
    const char *text = feri_op_line(op, line);
    operand at;
    uint32_t most = 0;
    while ((text = next_operand(text, &at)) != NULL) {
        most++;
        if (at.is_variadic) {
            return UINT32_MAX;
        }
    }
    return most;
}

uint32_t feri_op_min_inputs(const feri_op *op) { return least_count(op, FERI_LINE_INPUTS); }
uint32_t feri_op_max_inputs(const feri_op *op) { return most_count(op, FERI_LINE_INPUTS); }
uint32_t feri_op_min_outputs(const feri_op *op) { return least_count(op, FERI_LINE_OUTPUTS); }
uint32_t feri_op_max_outputs(const feri_op *op) { return most_count(op, FERI_LINE_OUTPUTS); }

int feri_op_input_is_optional(const feri_op *op, uint32_t index) {
    operand at;
    return find_operand(op, FERI_LINE_INPUTS, index, &at) && at.is_optional;
}

int feri_op_input_decides(const feri_op *op, uint32_t index) {
    operand at;
    return find_operand(op, FERI_LINE_INPUTS, index, &at) && at.decides;
}

/* ---- types ---- */

#define BIT(dtype) (1u << (dtype))
#define FLOATS (BIT(FER_F32) | BIT(FER_F64) | BIT(FER_F16) | BIT(FER_BF16))
#define SIGNED (BIT(FER_I8) | BIT(FER_I16) | BIT(FER_I32) | BIT(FER_I64))
#define UNSIGNED (BIT(FER_U8) | BIT(FER_U16) | BIT(FER_U32) | BIT(FER_U64))
#define FLOAT8 (BIT(FER_F8E4M3FN) | BIT(FER_F8E4M3FNUZ) | BIT(FER_F8E5M2) | BIT(FER_F8E5M2FNUZ))
#define SUB_BYTE (BIT(FER_U4) | BIT(FER_I4) | BIT(FER_U2) | BIT(FER_I2) | BIT(FER_F4E2M1))
#define EVERY (BIT(FER_DTYPE_COUNT) - 2)

enum { TENSOR = 1, SEQUENCE = 2, OPTIONAL = 4, OTHER = 8 };

typedef struct type_set {
    uint32_t dtypes; /* bit per dtype; for kinds other than tensors EVERY */
    uint32_t kinds;
} type_set;

static type_set class_of(const char *name, uint32_t length) {
    static const struct {
        const char *name;
        type_set set;
    } classes[] = {
        {"float",    {FLOATS, TENSOR}                             },
        {"int",      {SIGNED | UNSIGNED, TENSOR}                  },
        {"sint",     {SIGNED, TENSOR}                             },
        {"uint",     {UNSIGNED, TENSOR}                           },
        {"complex",  {BIT(FER_C64) | BIT(FER_C128), TENSOR}       },
        {"float8",   {FLOAT8, TENSOR}                             },
        {"sub",      {SUB_BYTE, TENSOR}                           },
        {"tensor",   {EVERY, TENSOR}                              },
        {"seq",      {EVERY, SEQUENCE}                            },
        {"opt",      {EVERY, OPTIONAL}                            },
        {"optorseq", {EVERY, SEQUENCE | OPTIONAL}                 },
        {"map",      {EVERY, OTHER}                               },
        {"any",      {EVERY, TENSOR | SEQUENCE | OPTIONAL | OTHER}}
    };
    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
        if (strlen(classes[i].name) == length && memcmp(classes[i].name, name, length) == 0) {
            return classes[i].set;
        }
    }
    char dtype_name[16] = "";
    if (length < sizeof(dtype_name)) {
        memcpy(dtype_name, name, length);
    }
    fer_dtype dtype = fer_dtype_from_name(dtype_name);
    return dtype ? (type_set){BIT(dtype), TENSOR} : (type_set){0, 0};
}

/* The class list bound to a letter in types ("T=float|int; U=i64"), or the type itself. */
static void
class_list(const feri_op *op, const operand *at, const char **out_text, uint32_t *out_length) {
    const char *text = feri_op_line(op, FERI_LINE_TYPES);
    while (*text != '\0') {
        const char *equals = strchr(text, '=');
        uint32_t length = (uint32_t)strcspn(equals + 1, ";");
        if ((uint32_t)(equals - text) == at->type_length &&
            memcmp(text, at->type, at->type_length) == 0) {
            *out_text = equals + 1;
            *out_length = length;
            return;
        }
        text = equals + 1 + length;
        text += strspn(text, "; ");
    }
    *out_text = at->type;
    *out_length = at->type_length;
}

static type_set allowed(const feri_op *op, const operand *at) {
    const char *text;
    uint32_t length;
    type_set all = {0, 0};
    class_list(op, at, &text, &length);
    while (length > 0) {
        uint32_t piece = (uint32_t)strcspn(text, "|;?#*,");
        piece = piece < length ? piece : length;
        type_set set = class_of(text, piece);
        all.dtypes |= set.dtypes;
        all.kinds |= set.kinds;
        uint32_t step = piece < length ? piece + 1 : length;
        text += step;
        length -= step;
    }
    return all;
}

static uint32_t kind_bit(int32_t kind) {
    return kind == FER_KIND_TENSOR     ? TENSOR
           : kind == FER_KIND_SEQUENCE ? SEQUENCE
           : kind == FER_KIND_OPTIONAL ? OPTIONAL
                                       : OTHER;
}

static const char *kind_name(int32_t kind) {
    return kind == FER_KIND_TENSOR     ? "tensor"
           : kind == FER_KIND_SEQUENCE ? "sequence"
           : kind == FER_KIND_OPTIONAL ? "optional"
                                       : "value of unknown kind";
}

/* Type letters as the inputs bind them. */
typedef struct binding {
    const char *type;
    uint32_t type_length;
    uint32_t input;
    const feri_fact *fact;
} binding;

#define MAX_BINDINGS 8
typedef struct bindings {
    uint32_t count;
    binding list[MAX_BINDINGS];
} bindings;

static const binding *find_binding(const bindings *bound, const operand *at) {
    for (uint32_t i = 0; i < bound->count; i++) {
        if (bound->list[i].type_length == at->type_length &&
            memcmp(bound->list[i].type, at->type, at->type_length) == 0) {
            return &bound->list[i];
        }
    }
    return NULL;
}

static fer_status wrong_type(feri_infer *call, const operand *at, const feri_fact *fact) {
    const char *text;
    uint32_t length;
    class_list(call->op, at, &text, &length);
    return feri_infer_fail(call,
                           "operand %.*s is a %s of %s, %s takes %.*s there",
                           (int)at->name_length,
                           at->name,
                           kind_name(fact->kind),
                           fer_dtype_name(fact->dtype),
                           feri_op_name(call->op),
                           (int)length,
                           text);
}

static fer_status
check_input(feri_infer *call, uint32_t index, const operand *at, bindings *bound) {
    const feri_fact *fact = call->in[index];
    if (!fact) {
        if (at->is_optional || (at->is_variadic && call->op->flags & FERI_OP_CONTROL)) {
            return FER_OK;
        }
        return feri_infer_fail(call,
                               "operand %.*s (number %u) is left out, but it is required",
                               (int)at->name_length,
                               at->name,
                               index);
    }
    type_set set = allowed(call->op, at);
    if (fact->kind && !(set.kinds & kind_bit(fact->kind))) {
        return wrong_type(call, at, fact);
    }
    if (fact->kind == FER_KIND_TENSOR && fact->dtype > 0 && fact->dtype < FER_DTYPE_COUNT &&
        !(set.dtypes & BIT(fact->dtype))) {
        return wrong_type(call, at, fact);
    }
    if (at->is_mixed || (!fact->kind && !fact->dtype)) {
        return FER_OK;
    }
    const binding *first = find_binding(bound, at);
    if (!first) {
        if (bound->count < MAX_BINDINGS) {
            bound->list[bound->count++] = (binding){at->type, at->type_length, index, fact};
        }
        return FER_OK;
    }
    if (fact->dtype && !first->fact->dtype) {
        ((binding *)(uintptr_t)first)->fact = fact;
        return FER_OK;
    }
    if ((fact->kind && first->fact->kind && fact->kind != first->fact->kind) ||
        (fact->dtype && fact->dtype != first->fact->dtype)) {
        return feri_infer_fail(call,
                               "operand %.*s (number %u) is a %s of %s, but operand %u is a %s of "
                               "%s, and %s wants one type for both",
                               (int)at->name_length,
                               at->name,
                               index,
                               kind_name(fact->kind),
                               fer_dtype_name(fact->dtype),
                               first->input,
                               kind_name(first->fact->kind),
                               fer_dtype_name(first->fact->dtype),
                               feri_op_name(call->op));
    }
    return FER_OK;
}

static fer_status check_inputs(feri_infer *call, bindings *bound) {
    const char *text = feri_op_line(call->op, FERI_LINE_INPUTS);
    operand at = {0};
    for (uint32_t i = 0; i < call->in_count; i++) {
        if (!at.is_variadic && !(text = next_operand(text, &at))) {
            return feri_infer_fail(call,
                                   "it has %u inputs, %s takes at most %u",
                                   call->in_count,
                                   feri_op_name(call->op),
                                   i);
        }
        FER_TRY(check_input(call, i, &at, bound));
    }
    uint32_t least = feri_op_min_inputs(call->op);
    if (call->in_count < least) {
        return feri_infer_fail(call,
                               "it has %u inputs, %s takes at least %u",
                               call->in_count,
                               feri_op_name(call->op),
                               least);
    }
    return FER_OK;
}

static int32_t only_kind(uint32_t kinds) {
    return kinds == TENSOR     ? FER_KIND_TENSOR
           : kinds == SEQUENCE ? FER_KIND_SEQUENCE
           : kinds == OPTIONAL ? FER_KIND_OPTIONAL
                               : 0;
}

static void
set_output(feri_infer *call, feri_fact *fact, const operand *at, const bindings *bound) {
    const binding *from = at->is_mixed ? NULL : find_binding(bound, at);
    type_set set = allowed(call->op, at);
    fact->kind = only_kind(set.kinds);
    if (from) {
        fact->kind = from->fact->kind ? from->fact->kind : fact->kind;
        fact->dtype = from->fact->dtype;
        fact->is_optional_of_sequence = from->fact->is_optional_of_sequence;
    } else if (set.kinds == TENSOR && set.dtypes && (set.dtypes & (set.dtypes - 1)) == 0) {
        fact->dtype = (fer_dtype)__builtin_ctz(set.dtypes);
    }
}

static fer_status set_outputs(feri_infer *call, const bindings *bound) {
    const char *text = feri_op_line(call->op, FERI_LINE_OUTPUTS);
    operand at = {0};
    for (uint32_t i = 0; i < call->out_count; i++) {
        if (!at.is_variadic && !(text = next_operand(text, &at))) {
            return feri_infer_fail(
                call, "it has %u outputs, %s has %u", call->out_count, feri_op_name(call->op), i);
        }
        if (call->out[i]) {
            set_output(call, call->out[i], &at, bound);
        }
    }
    uint32_t least = feri_op_min_outputs(call->op);
    if (call->out_count < least) {
        return feri_infer_fail(call,
                               "it has %u outputs, %s has at least %u",
                               call->out_count,
                               feri_op_name(call->op),
                               least);
    }
    return FER_OK;
}

/* ---- attributes ---- */

/* The kind letter (and '!' after it) of an attribute in the row, NULL when it has none. */
static const char *find_attr_kind(const char *attrs, const char *name, size_t length) {
    for (const char *at = attrs; *at;) {
        const char *colon = strchr(at, ':');
        if (!colon) {
            return NULL;
        }
        if ((size_t)(colon - at) == length && memcmp(at, name, length) == 0) {
            return colon + 1;
        }
        at = colon + strcspn(colon, ",");
        at += strspn(at, ", ");
    }
    return NULL;
}

static int is_kind(char letter, int32_t type) {
    switch (letter) {
    case 'i':
        return type == FER_ATTR_INT;
    case 'f':
        return type == FER_ATTR_FLOAT;
    case 's':
        return type == FER_ATTR_STRING;
    case 't':
        return type == FER_ATTR_TENSOR;
    case 'g':
        return type == FER_ATTR_GRAPH;
    case 'I':
        return type == FER_ATTR_INTS;
    case 'F':
        return type == FER_ATTR_FLOATS;
    case 'S':
        return type == FER_ATTR_STRINGS;
    case 'p': /* a sparse tensor, made dense by the importer */
        return type == FER_ATTR_TENSOR;
    case 'y': /* a type, as ints: kind of the element, dtype */
        return type == FER_ATTR_INTS;
    default:
        return 0;
    }
}

static fer_status check_given_attrs(feri_infer *call) {
    static const char *const names[] = {"nothing",
                                        "an int",
                                        "a float",
                                        "a string",
                                        "a tensor",
                                        "ints",
                                        "floats",
                                        "strings",
                                        "a graph"};
    const char *attrs = feri_op_line(call->op, FERI_LINE_ATTRS);
    for (uint32_t i = 0; i < call->attr_count; i++) {
        const fer_attr *attr = &call->attrs[i];
        const char *kind =
            attr->name ? find_attr_kind(attrs, attr->name, strlen(attr->name)) : NULL;
        if (!kind) {
            return feri_infer_fail(call,
                                   "it has an attribute '%s', which %s does not know",
                                   attr->name ? attr->name : "",
                                   feri_op_name(call->op));
        }
        if (!is_kind(*kind, attr->type)) {
            return feri_infer_fail(call,
                                   "attribute '%s' is %s, %s wants kind '%c' there",
                                   attr->name,
                                   attr->type >= 0 && attr->type <= FER_ATTR_GRAPH
                                       ? names[attr->type]
                                       : "of an unknown kind",
                                   feri_op_name(call->op),
                                   *kind);
        }
        if (i > 0 && strcmp(call->attrs[i - 1].name, attr->name) == 0) {
            return feri_infer_fail(call, "it has two attributes '%s'", attr->name);
        }
    }
    return FER_OK;
}

static fer_status check_required_attrs(feri_infer *call) {
    for (const char *at = feri_op_line(call->op, FERI_LINE_ATTRS); *at;) {
        const char *colon = strchr(at, ':');
        if (!colon) {
            break;
        }
        if (colon[1] && colon[2] == '!') {
            size_t length = (size_t)(colon - at);
            uint32_t i = 0;
            while (i < call->attr_count && (strncmp(call->attrs[i].name, at, length) != 0 ||
                                            call->attrs[i].name[length] != '\0')) {
                i++;
            }
            if (i == call->attr_count) {
                return feri_infer_fail(
                    call, "attribute '%.*s' is missing, but it is required", (int)length, at);
            }
        }
        at = colon + strcspn(colon, ",");
        at += strspn(at, ", ");
    }
    return FER_OK;
}

fer_status feri_op_check(feri_infer *call) {
    bindings bound = {0};
    call->status = FER_OK;
    FER_TRY(check_given_attrs(call));
    FER_TRY(check_required_attrs(call));
    FER_TRY(check_inputs(call, &bound));
    return set_outputs(call, &bound);
}

fer_status feri_op_infer(feri_infer *call) {
    FER_TRY(feri_op_check(call));
    if (!call->op->rule) {
        return feri_fail(FER_UNSUPPORTED,
                         "%s '%s': the op is not yet there; remove it or use a version of Ferrule "
                         "that has it",
                         feri_op_name(call->op),
                         call->node ? call->node : "");
    }
    feri_op_rule(call->op)(call);
    return call->status;
}
