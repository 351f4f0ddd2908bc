/* SPDX-License-Identifier: Apache-2.0
 *
 * The row's text as facts: arity, which operands are optional or decide shapes, attribute names and
 * kinds, dtypes. feri_op_check holds a node against its row before inference looks at it; the
 * importer, the builder and graph/verify go through it. The text is unpacked for each check and
 * read in place, nothing is cached: a check costs about a microsecond.
 */
#include "base/error.h"
#include "op/infer.h"
#include "tensor/dtype.h"

#include <assert.h>
#include <string.h>

/* A piece of the row's text. */
typedef struct word {
    const char *text;
    uint32_t length;
} word;

static int is_same(word a, word b) {
    return a.length == b.length && memcmp(a.text, b.text, a.length) == 0;
}

/* One operand of "name:type?#*". */
typedef struct operand {
    word name;
    word type;
    uint8_t is_optional;
    uint8_t decides;
    uint8_t stars; /* 1 variadic, 2 of several types */
} operand;

/* Reads the operand at text and returns what follows it, NULL at the end. */
static const char *next_operand(const char *text, operand *out) {
    text += *text == ',';
    if (*text == '\0') {
        return NULL;
    }
    const char *colon = strchr(text, ':');
    out->name = (word){text, (uint32_t)(colon - text)};
    out->type = (word){colon + 1, (uint32_t)strcspn(colon + 1, ",?#*")};
    out->is_optional = out->decides = out->stars = 0;
    const char *mark = out->type.text + out->type.length;
    for (; *mark != '\0' && *mark != ','; mark++) {
        out->is_optional |= *mark == '?';
        out->decides |= *mark == '#';
        out->stars += *mark == '*';
    }
    return mark;
}

/* The operand at index (the variadic one for all that follow it); 0 when there is none. */
static int find_operand(const feri_op *op, uint32_t index, operand *out) {
    const char *text = feri_op_text(op, FERI_COLUMN_INPUTS);
    for (uint32_t i = 0; (text = next_operand(text, out)) != NULL; i++) {
        if (i == index || out->stars) {
            return 1; /* with the marks; name and type are gone */
        }
    }
    return 0;
}

/* The fewest operands of a line, or the most. */
static uint32_t arity(const char *line, int wants_most) {
    operand at;
    uint32_t count = 0;
    for (uint32_t i = 1; (line = next_operand(line, &at)) != NULL; i++) {
        if (at.stars) {
            return wants_most      ? UINT32_MAX
                   : at.stars == 1 ? i
                                   : count; /* of one type: one at least */
        }
        count = wants_most || !at.is_optional ? i : count;
    }
    return count;
}

static uint32_t arity_of(const feri_op *op, feri_op_column column, int wants_most) {
    return arity(feri_op_text(op, column), wants_most);
}

uint32_t feri_op_min_inputs(const feri_op *op) { return arity_of(op, FERI_COLUMN_INPUTS, 0); }
uint32_t feri_op_max_inputs(const feri_op *op) { return arity_of(op, FERI_COLUMN_INPUTS, 1); }
uint32_t feri_op_min_outputs(const feri_op *op) { return arity_of(op, FERI_COLUMN_OUTPUTS, 0); }
uint32_t feri_op_max_outputs(const feri_op *op) { return arity_of(op, FERI_COLUMN_OUTPUTS, 1); }

int feri_op_input_is_optional(const feri_op *op, uint32_t index) {
    operand at;
    return find_operand(op, index, &at) && at.is_optional;
}

int feri_op_input_decides(const feri_op *op, uint32_t index) {
    operand at;
    return find_operand(op, index, &at) && at.decides;
}

/* ---- types ---- */

/* What a type allows: a bit for every dtype of tensors, above them one for every other kind. */
typedef uint32_t type_set;

#define BIT(dtype) (1u << (dtype))
#define KIND(kind) (1u << (26 + (kind)))
static_assert(FER_DTYPE_COUNT == 26 + FER_KIND_TENSOR, "the bits of kinds follow those of dtypes");
#define FLOATS (BIT(FER_F32) | BIT(FER_F64) | BIT(FER_F16) | BIT(FER_BF16))
#define SIGNED (BIT(FER_I8) | BIT(FER_I16) | BIT(FER_I32) | BIT(FER_I64))
#define UNSIGNED (BIT(FER_U8) | BIT(FER_U16) | BIT(FER_U32) | BIT(FER_U64))
#define FLOAT8 (BIT(FER_F8E4M3FN) | BIT(FER_F8E4M3FNUZ) | BIT(FER_F8E5M2) | BIT(FER_F8E5M2FNUZ))
#define SUB_BYTE (BIT(FER_U4) | BIT(FER_I4) | BIT(FER_U2) | BIT(FER_I2) | BIT(FER_F4E2M1))
#define TENSORS (BIT(FER_DTYPE_COUNT) - 2)
#define SEQUENCE KIND(FER_KIND_SEQUENCE)
#define OPTIONAL KIND(FER_KIND_OPTIONAL)
#define OTHER KIND(FER_KIND_MAP)

static type_set class_of(word name) {
    static const struct {
        char name[8]; /* without a NUL where it is as long */
        type_set set;
    } classes[] = {
        {"float",    FLOATS                               },
        {"int",      SIGNED | UNSIGNED                    },
        {"sint",     SIGNED                               },
        {"uint",     UNSIGNED                             },
        {"complex",  BIT(FER_C64) | BIT(FER_C128)         },
        {"float8",   FLOAT8                               },
        {"sub",      SUB_BYTE                             },
        {"tensor",   TENSORS                              },
        {"seq",      SEQUENCE                             },
        {"opt",      OPTIONAL                             },
        {"optorseq", SEQUENCE | OPTIONAL                  },
        {"map",      OTHER                                },
        {"any",      TENSORS | SEQUENCE | OPTIONAL | OTHER}
    };
    char text[16] = "";
    memcpy(text, name.text, name.length < sizeof(text) ? name.length : 0);
    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
        if (strncmp(classes[i].name, text, sizeof(classes[i].name)) == 0) {
            return classes[i].set;
        }
    }
    return BIT(fer_dtype_from_name(text)) & TENSORS;
}

/* The class list bound to a letter in types ("T=float|int;U=i64"), or the type itself. */
static word class_list(const char *types, word type) {
    while (*types != '\0') {
        const char *equals = strchr(types, '=');
        word list = {equals + 1, (uint32_t)strcspn(equals + 1, ";")};
        if (is_same((word){types, (uint32_t)(equals - types)}, type)) {
            return list;
        }
        types = list.text + list.length;
        types += *types == ';';
    }
    return type;
}

static type_set allowed(word rest) {
    type_set all = 0;
    while (rest.length > 0) {
        uint32_t length = (uint32_t)strcspn(rest.text, "|;?#*,");
        length = length < rest.length ? length : rest.length;
        all |= class_of((word){rest.text, length});
        length += length < rest.length; /* the bar */
        rest = (word){rest.text + length, rest.length - length};
    }
    return all;
}

/* The bits one of which a fact needs; all for one that is not known. */
static type_set bits_of(const feri_fact *fact) {
    if (fact->kind == FER_KIND_TENSOR) {
        return fact->dtype > 0 && fact->dtype < FER_DTYPE_COUNT ? BIT(fact->dtype) : TENSORS;
    }
    return fact->kind == 0 ? UINT32_MAX : fact->kind < FER_KIND_MAP ? KIND(fact->kind) : OTHER;
}

static const char *kind_name(const feri_fact *fact) {
    static const char names[][9] = {"value", "tensor", "sequence", "optional"};
    return names[fact->kind > 0 && fact->kind < 4 ? fact->kind : 0];
}

/* A type letter as an input binds it. */
typedef struct binding {
    word type;
    uint32_t input;
    const feri_fact *fact;
} binding;

#define MAX_BINDINGS 8
/* A node that is held against its row. */
typedef struct check {
    feri_infer *call;
    uint32_t bound_count;
    operand at; /* the operand or result looked at, its class list and that as bits */
    word classes;
    type_set set;
    binding bound[MAX_BINDINGS];
} check;

/* NULL where none is, as for operands of several types. */
static binding *find_binding(check *c) {
    for (uint32_t i = 0; i < c->bound_count && c->at.stars < 2; i++) {
        if (is_same(c->bound[i].type, c->at.type)) {
            return &c->bound[i];
        }
    }
    return NULL;
}

static int differ(int32_t a, int32_t b) { return a != 0 && b != 0 && a != b; }

static void check_input(check *c, uint32_t index) {
    feri_infer *call = c->call;
    const operand *at = &c->at;
    const feri_fact *fact = call->in[index];
    int name_length = (int)at->name.length;
    if (!fact) {
        if (!at->is_optional && !(at->stars && call->op->flags & FERI_OP_CONTROL)) {
            feri_infer_fail(call,
                            "operand %.*s (number %u) is left out, but it is required",
                            name_length,
                            at->name.text,
                            index);
        }
        return;
    }
    if (!(c->set & bits_of(fact))) {
        feri_infer_fail(call,
                        "operand %.*s is a %s of %s, %s takes %.*s there",
                        name_length,
                        at->name.text,
                        kind_name(fact),
                        fer_dtype_name(fact->dtype),
                        feri_op_name(call->op),
                        (int)c->classes.length,
                        c->classes.text);
    }
    binding *first = find_binding(c);
    if (!first) {
        if (c->bound_count < MAX_BINDINGS && at->stars < 2 && (fact->kind || fact->dtype)) {
            c->bound[c->bound_count++] = (binding){at->type, index, fact};
        }
        return;
    }
    if (differ(fact->kind, first->fact->kind) || differ(fact->dtype, first->fact->dtype)) {
        feri_infer_fail(call,
                        "operand %.*s (number %u) is a %s of %s, but operand %u is a %s of %s, and "
                        "%s wants one type for both",
                        name_length,
                        at->name.text,
                        index,
                        kind_name(fact),
                        fer_dtype_name(fact->dtype),
                        first->input,
                        kind_name(first->fact),
                        fer_dtype_name(first->fact->dtype),
                        feri_op_name(call->op));
    }
    if (fact->dtype && !first->fact->dtype) {
        first->fact = fact;
    }
}

static void set_output(check *c, uint32_t index) {
    feri_fact *fact = c->call->out[index];
    const binding *from = find_binding(c);
    type_set set = c->set;
    if (!fact) {
        return;
    }
    int is_one = set != 0 && (set & (set - 1)) == 0;
    fact->kind = 0;
    if (!(set & ~TENSORS)) {
        fact->kind = set ? FER_KIND_TENSOR : 0;
    } else if (is_one && set < OTHER) {
        fact->kind = (int32_t)__builtin_ctz(set) - 26;
    }
    if (from) {
        fact->kind = from->fact->kind ? from->fact->kind : fact->kind;
        fact->dtype = from->fact->dtype;
        fact->is_optional_of_sequence = from->fact->is_optional_of_sequence;
    } else if (is_one && set < SEQUENCE) {
        fact->dtype = (fer_dtype)__builtin_ctz(set);
    }
}

/* Every operand, or every result, against its column. */
static void check_column(check *c, feri_op_column column) {
    feri_infer *call = c->call;
    int is_in = column == FERI_COLUMN_INPUTS;
    uint32_t count = is_in ? call->in_count : call->out_count;
    const char *text = feri_op_text(call->op, column);
    uint32_t least = arity(text, 0);
    uint32_t most = arity(text, 1);
    if (count < least || count > most) {
        feri_infer_fail(call,
                        "it has %u %s, %s has at %s %u",
                        count,
                        is_in ? "inputs" : "outputs",
                        feri_op_name(call->op),
                        count < least ? "least" : "most",
                        count < least ? least : most);
    }
    c->at.stars = 0;
    for (uint32_t i = 0; i < count && call->status == FER_OK; i++) {
        if (!c->at.stars) {
            text = next_operand(text, &c->at);
            c->classes = class_list(feri_op_text(call->op, FERI_COLUMN_TYPES), c->at.type);
            c->set = allowed(c->classes);
        }
        (is_in ? check_input : set_output)(c, i);
    }
}

/* ---- attributes ---- */

/* The kind letter (and '!' after it) of an attribute in the row, NULL when it has none. */
static const char *find_attr_kind(const char *at, const char *name) {
    word own = {name, (uint32_t)strlen(name)};
    while (*at) {
        word known = {at, (uint32_t)strcspn(at, ":")};
        at += known.length + 1;
        if (is_same(known, own)) {
            return at;
        }
        at += strcspn(at, ",");
        at += *at == ',';
    }
    return NULL;
}

static void check_given_attrs(feri_infer *call, const char *line) {
    static const char letters[] = "?ifstIFSg"; /* by FER_ATTR_... */
    for (uint32_t i = 0; i < call->attr_count; i++) {
        const fer_attr *attr = &call->attrs[i];
        const char *name = attr->name ? attr->name : "";
        const char *kind = find_attr_kind(line, name);
        if (!kind) {
            feri_infer_fail(call,
                            "it has an attribute '%s', which %s does not know",
                            name,
                            feri_op_name(call->op));
            return;
        }
        /* A sparse tensor was made dense, a type is ints: kind of the element, dtype. */
        char wanted = *kind == 'p' ? 't' : *kind == 'y' ? 'I' : *kind;
        char given = attr->type >= 0 && attr->type <= FER_ATTR_GRAPH ? letters[attr->type] : '?';
        if (given != wanted) {
            feri_infer_fail(call,
                            "attribute '%s' is of kind %c, %s wants %c there (first letters; "
                            "capitals are lists)",
                            name,
                            given,
                            feri_op_name(call->op),
                            wanted);
        }
        if (i > 0 && strcmp(call->attrs[i - 1].name, name) == 0) {
            feri_infer_fail(call, "it has two attributes '%s'", name);
        }
    }
}

static void check_required_attrs(feri_infer *call, const char *at) {
    for (; *at; at += *at == ',') {
        word name = {at, (uint32_t)strcspn(at, ":")};
        uint32_t i = 0;
        while (i < call->attr_count &&
               !is_same(name, (word){call->attrs[i].name, (uint32_t)strlen(call->attrs[i].name)})) {
            i++;
        }
        at += name.length + 2; /* behind the kind */
        if (*at == '!' && i == call->attr_count) {
            feri_infer_fail(call,
                            "attribute '%.*s' is missing, but it is required",
                            (int)name.length,
                            name.text);
        }
        at += strcspn(at, ",");
    }
}

fer_status feri_op_check(feri_infer *call) {
    check c;
    c.call = call;
    c.bound_count = 0;
    const char *attrs = feri_op_text(call->op, FERI_COLUMN_ATTRS);
    call->status = FER_OK;
    check_given_attrs(call, attrs);
    FER_TRY(call->status); /* else names may be absent */
    check_required_attrs(call, attrs);
    check_column(&c, FERI_COLUMN_INPUTS);
    check_column(&c, FERI_COLUMN_OUTPUTS);
    return call->status;
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
