/* SPDX-License-Identifier: Apache-2.0
 *
 * Parsing a regular expression into a tree and the tree into steps. Groups nest to a bounded depth,
 * counts are at most 1,000 as in RE2, and the program is bounded, so that no pattern takes much
 * memory or stack. Called by string_regex.c.
 */
#include "base/error.h"
#include "host/regex.h"

#include <string.h>

enum {
    MOST_DEPTH = 100,
    MOST_REPEAT = 1000,
    MOST_STEPS = 100000,
    MOST_NODES = 100000,
    MOST_EMITS = 1000000
};
enum { NODE_SET, NODE_ASSERT, NODE_SEQUENCE, NODE_CHOICE, NODE_REPEAT };
enum { FOLD = 1, DOT_ALL = 2, MULTI_LINE = 4 };
#define LAST_POINT 0x10FFFFu
#define NONE UINT32_MAX
#define UNBOUNDED UINT32_MAX

typedef struct node {
    uint32_t kind;
    uint32_t child; /* first */
    uint32_t next;  /* sibling */
    uint32_t x;     /* set, assertion, or least count */
    uint32_t most;
} node;

typedef struct parser {
    feri_regex *regex;
    const char *pattern, *at, *end;
    uint32_t flags;
    uint32_t depth;
    node *nodes;
    uint32_t count, capacity;
    uint32_t emits; /* nodes turned into steps so far: counts of nothing make no steps */
} parser;

static fer_status wrong(const parser *p, const char *what) {
    return feri_fail(FER_INVALID_MODEL,
                     "the pattern is wrong at byte %u: %s",
                     (unsigned)(p->at - p->pattern),
                     what);
}

static fer_status lacking(const char *what) {
    return feri_fail(FER_UNSUPPORTED, "the pattern uses %s, which is not there; rewrite it", what);
}

static fer_status new_node(parser *p, node value, uint32_t *out) {
    if (p->count >= MOST_NODES) {
        return feri_fail(FER_LIMIT, "the pattern has more than %d parts", MOST_NODES);
    }
    FER_TRY(feri_grow(p->regex->env, &p->nodes, &p->capacity, p->count + 1, sizeof(node)));
    p->nodes[p->count] = value;
    *out = p->count++;
    return FER_OK;
}

static int take(parser *p, char c) {
    if (p->at < p->end && *p->at == c) {
        p->at++;
        return 1;
    }
    return 0;
}

/* ---- sets ---- */

static fer_status add_range(parser *p, uint32_t low, uint32_t high) {
    feri_regex *r = p->regex;
    FER_TRY(
        feri_grow(r->env, &r->ranges, &r->range_capacity, r->range_count + 1, sizeof(*r->ranges)));
    r->ranges[r->range_count++] = (feri_regex_range){low, high};
    return FER_OK;
}

/* The range, and the other case of its ASCII letters under (?i). */
static fer_status add_folded(parser *p, uint32_t low, uint32_t high) {
    FER_TRY(add_range(p, low, high));
    for (uint32_t lower = 0; (p->flags & FOLD) && lower < 2; lower++) {
        uint32_t first = lower ? 'a' : 'A', from = low > first ? low : first;
        uint32_t to = high < first + 25 ? high : first + 25;
        if (from <= to) {
            FER_TRY(add_range(p, from ^ 32, to ^ 32));
        }
    }
    return FER_OK;
}

/* What is not in text, pairs of first and last: ascending ASCII. */
static fer_status add_pairs(parser *p, const char *text, int is_negated) {
    uint32_t next = 0;
    for (; text[0]; text += 2) {
        uint32_t low = (uint8_t)text[0], high = (uint8_t)text[1];
        if (!is_negated) {
            FER_TRY(add_range(p, low, high));
        } else if (low > next) {
            FER_TRY(add_range(p, next, low - 1));
        }
        next = high + 1;
    }
    return is_negated ? add_range(p, next, LAST_POINT) : FER_OK;
}

/* \d and its like; 0 when c names none. */
static const char *perl_class(char c) {
    switch (c | 32) {
    case 'd':
        return "09";
    case 'w':
        return "09AZ__az";
    case 's':
        return "\t\n\f\r  ";
    default:
        return NULL;
    }
}

static const char *posix_class(const char *name, size_t length) {
    static const char *const classes[][2] = {
        {"alnum",  "09AZaz"          },
        {"alpha",  "AZaz"            },
        {"ascii",  "\x01\x7f"        },
        {"blank",  "\t\t  "          },
        {"cntrl",  "\x01\x1f\x7f\x7f"},
        {"digit",  "09"              },
        {"graph",  "!~"              },
        {"lower",  "az"              },
        {"print",  " ~"              },
        {"punct",  "!/:@[`{~"        },
        {"space",  "\t\r  "          },
        {"upper",  "AZ"              },
        {"word",   "09AZ__az"        },
        {"xdigit", "09AFaf"          },
    };
    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
        if (strlen(classes[i][0]) == length && memcmp(classes[i][0], name, length) == 0) {
            return classes[i][1];
        }
    }
    return NULL;
}

static int hex_digit(char c) {
    return c >= '0' && c <= '9'                 ? c - '0'
           : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                : -1;
}

/* \xHH, \x{H...}: after the x. */
static fer_status hex_escape(parser *p, uint32_t *out) {
    int is_braced = take(p, '{'), digits = 0;
    *out = 0;
    while (p->at < p->end && hex_digit(*p->at) >= 0 && digits < (is_braced ? 8 : 2)) {
        *out = *out * 16 + (uint32_t)hex_digit(*p->at++);
        digits++;
    }
    if (digits == 0 || (!is_braced && digits < 2) || (is_braced && !take(p, '}')) ||
        *out > LAST_POINT) {
        return wrong(p, "a \\x escape");
    }
    return FER_OK;
}

/* One character after a backslash. */
static fer_status escape(parser *p, uint32_t *out) {
    static const char names[] = "ntrfva", values[] = "\n\t\r\f\v\a";
    if (p->at == p->end) {
        return wrong(p, "it ends in a backslash");
    }
    char c = *p->at;
    const char *known = c ? strchr(names, c) : NULL;
    if (known) {
        p->at++;
        *out = (uint8_t)values[known - names];
        return FER_OK;
    }
    if (c == 'x') {
        p->at++;
        return hex_escape(p, out);
    }
    if (c >= '0' && c <= '7') {
        *out = 0;
        for (int i = 0; i < 3 && p->at < p->end && *p->at >= '0' && *p->at <= '7'; i++) {
            *out = *out * 8 + (uint32_t)(*p->at++ - '0');
        }
        return c == '0' || *out > 7 ? FER_OK : lacking("a reference to a group");
    }
    if (c == 'p' || c == 'P' || c == 'C') {
        return lacking(c == 'C' ? "\\C" : "a Unicode class");
    }
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '8' && c <= '9')) {
        return wrong(p, "an unknown escape");
    }
    *out = feri_regex_next(&p->at, p->end);
    return FER_OK;
}

/* "[:alpha:]" inside a class; *out_taken 0 when it is none. */
static fer_status posix(parser *p, int *out_taken) {
    const char *close = p->end - p->at > 3 && p->at[0] == '[' && p->at[1] == ':'
                            ? memchr(p->at + 2, ']', (size_t)(p->end - p->at - 2))
                            : NULL;
    *out_taken = 0;
    if (!close || close[-1] != ':' || close - p->at < 4) {
        return FER_OK;
    }
    const char *name = p->at + 2;
    int is_negated = *name == '^';
    name += is_negated;
    const char *pairs = close - 1 > name ? posix_class(name, (size_t)(close - 1 - name)) : NULL;
    if (!pairs) {
        return wrong(p, "an unknown class");
    }
    p->at = close + 1;
    *out_taken = 1;
    return add_pairs(p, pairs, is_negated);
}

static fer_status class_item(parser *p) {
    uint32_t low, high;
    int is_posix;
    FER_TRY(posix(p, &is_posix));
    if (is_posix) {
        return FER_OK;
    }
    if (take(p, '\\')) {
        const char *pairs = p->at < p->end ? perl_class(*p->at) : NULL;
        if (pairs) {
            int is_negated = *p->at < 'a';
            p->at++;
            return add_pairs(p, pairs, is_negated);
        }
        FER_TRY(escape(p, &low));
    } else {
        low = feri_regex_next(&p->at, p->end);
    }
    high = low;
    if (p->end - p->at > 1 && p->at[0] == '-' && p->at[1] != ']') {
        p->at++;
        if (take(p, '\\')) {
            FER_TRY(escape(p, &high));
        } else {
            high = feri_regex_next(&p->at, p->end);
        }
    }
    return low <= high ? add_folded(p, low, high) : wrong(p, "a range that runs backwards");
}

/* The set of ranges [first, now) as a node. */
static fer_status close_set(parser *p, uint32_t first, int is_negated, uint32_t *out) {
    feri_regex *r = p->regex;
    FER_TRY(feri_grow(r->env, &r->sets, &r->set_capacity, r->set_count + 1, sizeof(*r->sets)));
    r->sets[r->set_count] = (feri_regex_set){first, r->range_count - first, (uint32_t)is_negated};
    return new_node(p, (node){NODE_SET, NONE, NONE, r->set_count++, 0}, out);
}

/* After '['. */
static fer_status class(parser *p, uint32_t *out) {
    uint32_t first = p->regex->range_count;
    int is_negated = take(p, '^'), is_first = 1;
    while (is_first || !take(p, ']')) {
        if (p->at == p->end) {
            return wrong(p, "']' is missing");
        }
        is_first = 0;
        FER_TRY(class_item(p));
    }
    return close_set(p, first, is_negated, out);
}

/* ---- atoms ---- */

static fer_status choice(parser *p, uint32_t *out);

/* Flags after "(?": up to ')' (for the rest of the group) or ':' (for a group of their own). */
static fer_status read_flags(parser *p, int *out_is_group) {
    int is_on = 1;
    for (; p->at < p->end; p->at++) {
        uint32_t bit = *p->at == 'i'   ? FOLD
                       : *p->at == 's' ? DOT_ALL
                       : *p->at == 'm' ? MULTI_LINE
                                       : 0;
        if (*p->at == ')' || *p->at == ':') {
            *out_is_group = *p->at++ == ':';
            return FER_OK;
        }
        if (*p->at == '-' && is_on) {
            is_on = 0;
        } else if (bit == 0 && *p->at != 'U') {
            break;
        }
        p->flags = is_on ? p->flags | bit : p->flags & ~bit;
    }
    return wrong(p, "an unknown group");
}

/* After '('. */
static fer_status group(parser *p, uint32_t *out) {
    uint32_t flags = p->flags;
    int is_group = 1;
    if (++p->depth > MOST_DEPTH) {
        return feri_fail(FER_LIMIT, "the pattern nests more than %d groups", MOST_DEPTH);
    }
    if (take(p, '?')) {
        int is_named = take(p, 'P');
        if (is_named || (p->at < p->end && *p->at == '<')) {
            const char *close = memchr(p->at, '>', (size_t)(p->end - p->at));
            if (p->at == p->end || *p->at != '<' || !close || close == p->at + 1) {
                return wrong(p, "the name of a group");
            }
            p->at = close + 1;
        } else {
            FER_TRY(read_flags(p, &is_group));
        }
    }
    p->depth--;
    if (!is_group) {
        return new_node(p, (node){NODE_SEQUENCE, NONE, NONE, 0, 0}, out);
    }
    p->depth++;
    FER_TRY(choice(p, out));
    p->depth--;
    p->flags = flags;
    return take(p, ')') ? FER_OK : wrong(p, "')' is missing");
}

static fer_status assertion(parser *p, uint32_t kind, uint32_t *out) {
    return new_node(p, (node){NODE_ASSERT, NONE, NONE, kind, 0}, out);
}

static fer_status backslash(parser *p, uint32_t *out) {
    static const char names[] = "bBAz";
    static const uint8_t kinds[] = {
        FERI_REGEX_WORD, FERI_REGEX_NO_WORD, FERI_REGEX_BEGIN, FERI_REGEX_END};
    uint32_t first = p->regex->range_count, point;
    const char *known = p->at < p->end && *p->at ? strchr(names, *p->at) : NULL;
    const char *pairs = p->at < p->end ? perl_class(*p->at) : NULL;
    if (known) {
        p->at++;
        return assertion(p, kinds[known - names], out);
    }
    if (pairs) {
        int is_negated = *p->at++ < 'a';
        FER_TRY(add_pairs(p, pairs, /*is_negated=*/0));
        return close_set(p, first, is_negated, out);
    }
    FER_TRY(escape(p, &point));
    FER_TRY(add_folded(p, point, point));
    return close_set(p, first, /*is_negated=*/0, out);
}

static fer_status atom(parser *p, uint32_t *out) {
    uint32_t first = p->regex->range_count, point;
    int by_line = (p->flags & MULTI_LINE) != 0;
    char c = *p->at;
    switch (c) {
    case '(':
        p->at++;
        return group(p, out);
    case '[':
        p->at++;
        return class(p, out);
    case '\\':
        p->at++;
        return backslash(p, out);
    case '^':
        p->at++;
        return assertion(p, by_line ? FERI_REGEX_LINE_BEGIN : FERI_REGEX_BEGIN, out);
    case '$':
        p->at++;
        return assertion(p, by_line ? FERI_REGEX_LINE_END : FERI_REGEX_END, out);
    case '.':
        p->at++;
        if ((p->flags & DOT_ALL) == 0) {
            FER_TRY(add_range(p, '\n', '\n'));
        }
        return close_set(p, first, /*is_negated=*/1, out);
    case '*':
    case '+':
    case '?':
        return wrong(p, "nothing to repeat");
    default:
        point = feri_regex_next(&p->at, p->end);
        FER_TRY(add_folded(p, point, point));
        return close_set(p, first, /*is_negated=*/0, out);
    }
}

/* "{n}", "{n,}", "{n,m}" after the brace; 0 (and nothing taken) when it is none: then '{' is a
 * character. */
static int read_count(parser *p, uint32_t *least, uint32_t *most) {
    const char *at = p->at;
    uint32_t value[2] = {0, 0};
    int digits[2] = {0, 0}, which = 0;
    for (; at < p->end && *at != '}'; at++) {
        if (*at == ',' && which == 0) {
            which = 1;
        } else if (*at >= '0' && *at <= '9' && value[which] <= MOST_REPEAT) {
            value[which] = value[which] * 10 + (uint32_t)(*at - '0');
            digits[which]++;
        } else {
            return 0;
        }
    }
    if (at == p->end || digits[0] == 0) {
        return 0;
    }
    p->at = at + 1;
    *least = value[0];
    *most = which == 0 ? value[0] : digits[1] ? value[1] : UNBOUNDED;
    return 1;
}

/* Repetitions of what stands before; laziness does not matter to a full match. */
static fer_status repeats(parser *p, uint32_t *in_out) {
    if (p->at < p->end) {
        uint32_t least = 0, most = UNBOUNDED;
        const char *start = p->at;
        char c = *p->at++;
        if (c == '+') {
            least = 1;
        } else if (c == '?') {
            most = 1;
        } else if (c != '*' && !(c == '{' && read_count(p, &least, &most))) {
            p->at = start;
            return FER_OK;
        }
        if (least > MOST_REPEAT || (most != UNBOUNDED && (most > MOST_REPEAT || most < least))) {
            return wrong(p, "a count is above 1000 or runs backwards");
        }
        (void)take(p, '?');
        FER_TRY(new_node(p, (node){NODE_REPEAT, *in_out, NONE, least, most}, in_out));
    }
    return FER_OK;
}

/* "\Q...\E" is taken letter by letter. */
static fer_status quoted(parser *p, uint32_t *out_last, uint32_t sequence) {
    while (p->at < p->end && !(p->end - p->at > 1 && p->at[0] == '\\' && p->at[1] == 'E')) {
        uint32_t first = p->regex->range_count, made, point = feri_regex_next(&p->at, p->end);
        FER_TRY(add_folded(p, point, point));
        FER_TRY(close_set(p, first, /*is_negated=*/0, &made));
        *(*out_last == NONE ? &p->nodes[sequence].child : &p->nodes[*out_last].next) = made;
        *out_last = made;
    }
    p->at += p->at < p->end ? 2 : 0;
    return FER_OK;
}

static fer_status sequence(parser *p, uint32_t *out) {
    uint32_t last = NONE;
    FER_TRY(new_node(p, (node){NODE_SEQUENCE, NONE, NONE, 0, 0}, out));
    while (p->at < p->end && *p->at != '|' && *p->at != ')') {
        uint32_t made;
        if (p->end - p->at > 1 && p->at[0] == '\\' && p->at[1] == 'Q') {
            p->at += 2;
            FER_TRY(quoted(p, &last, *out));
            continue;
        }
        FER_TRY(atom(p, &made));
        FER_TRY(repeats(p, &made));
        *(last == NONE ? &p->nodes[*out].child : &p->nodes[last].next) = made;
        last = made;
    }
    return FER_OK;
}

static fer_status choice(parser *p, uint32_t *out) {
    uint32_t last, made;
    FER_TRY(sequence(p, &last));
    FER_TRY(new_node(p, (node){NODE_CHOICE, last, NONE, 0, 0}, out));
    while (take(p, '|')) {
        FER_TRY(sequence(p, &made));
        p->nodes[last].next = made;
        last = made;
    }
    return FER_OK;
}

/* ---- steps ---- */

static fer_status add_step(parser *p, uint32_t kind, uint32_t x, uint32_t y) {
    feri_regex *r = p->regex;
    if (r->step_count >= MOST_STEPS) {
        return feri_fail(FER_LIMIT, "the pattern's counts make more than %d steps", MOST_STEPS);
    }
    FER_TRY(feri_grow(r->env, &r->steps, &r->step_capacity, r->step_count + 1, sizeof(*r->steps)));
    r->steps[r->step_count++] = (feri_regex_step){kind, x, y};
    return FER_OK;
}

static fer_status emit(parser *p, uint32_t index);

/* Steps chained through field y (splits) or x (jumps) all lead here. */
static void patch(feri_regex *r, uint32_t chain, int is_split) {
    while (chain != NONE) {
        uint32_t *field = is_split ? &r->steps[chain].y : &r->steps[chain].x;
        chain = *field;
        *field = r->step_count;
    }
}

static fer_status emit_choice(parser *p, uint32_t first) {
    feri_regex *r = p->regex;
    uint32_t ends = NONE;
    for (uint32_t c = first; c != NONE; c = p->nodes[c].next) {
        uint32_t split = r->step_count;
        int is_last = p->nodes[c].next == NONE;
        if (!is_last) {
            FER_TRY(add_step(p, FERI_REGEX_SPLIT, split + 1, 0));
        }
        FER_TRY(emit(p, c));
        if (!is_last) {
            FER_TRY(add_step(p, FERI_REGEX_JUMP, ends, 0));
            ends = r->step_count - 1;
            r->steps[split].y = r->step_count;
        }
    }
    patch(r, ends, /*is_split=*/0);
    return FER_OK;
}

static fer_status emit_repeat(parser *p, node n) {
    feri_regex *r = p->regex;
    uint32_t skips = NONE;
    for (uint32_t i = 0; i < n.x; i++) {
        FER_TRY(emit(p, n.child));
    }
    for (uint32_t i = n.x; n.most != UNBOUNDED && i < n.most; i++) {
        FER_TRY(add_step(p, FERI_REGEX_SPLIT, r->step_count + 1, skips));
        skips = r->step_count - 1;
        FER_TRY(emit(p, n.child));
    }
    if (n.most == UNBOUNDED) {
        uint32_t loop = r->step_count;
        FER_TRY(add_step(p, FERI_REGEX_SPLIT, loop + 1, skips));
        skips = loop;
        FER_TRY(emit(p, n.child));
        FER_TRY(add_step(p, FERI_REGEX_JUMP, loop, 0));
    }
    patch(r, skips, /*is_split=*/1);
    return FER_OK;
}

/* Recursion is over groups, which the parser bounds. */
static fer_status emit(parser *p, uint32_t index) {
    node n = p->nodes[index];
    if (++p->emits > MOST_EMITS) {
        return feri_fail(FER_LIMIT, "the pattern's counts repeat its parts too often");
    }
    switch (n.kind) {
    case NODE_SET:
        return add_step(p, FERI_REGEX_SET, n.x, 0);
    case NODE_ASSERT:
        return add_step(p, FERI_REGEX_ASSERT, n.x, 0);
    case NODE_CHOICE:
        return emit_choice(p, n.child);
    case NODE_REPEAT:
        return emit_repeat(p, n);
    default:
        for (uint32_t c = n.child; c != NONE; c = p->nodes[c].next) {
            FER_TRY(emit(p, c));
        }
        return FER_OK;
    }
}

fer_status feri_regex_open(feri_regex *regex, feri_env *env, const char *pattern, size_t length) {
    uint32_t root = 0;
    memset(regex, 0, sizeof(*regex));
    regex->env = env;
    parser p = {.regex = regex, .pattern = pattern, .at = pattern, .end = pattern + length};
    fer_status status = choice(&p, &root);
    if (status == FER_OK && p.at != p.end) {
        status = wrong(&p, "a ')' without a '('");
    }
    status = status ? status : emit(&p, root);
    status = status ? status : add_step(&p, FERI_REGEX_MATCH, 0, 0);
    feri_free(env, p.nodes, feri_mul_sat(p.capacity, sizeof(node)));
    if (status != FER_OK) {
        return status;
    }
    regex->threads = feri_alloc(env, feri_mul_sat(regex->step_count, 3 * sizeof(uint32_t)));
    regex->marks = feri_alloc(env, feri_mul_sat(regex->step_count, sizeof(uint32_t)));
    return regex->threads && regex->marks ? FER_OK : feri_error_status();
}

void feri_regex_close(feri_regex *regex) {
    feri_env *env = regex->env;
    feri_free(env, regex->steps, feri_mul_sat(regex->step_capacity, sizeof(*regex->steps)));
    feri_free(env, regex->sets, feri_mul_sat(regex->set_capacity, sizeof(*regex->sets)));
    feri_free(env, regex->ranges, feri_mul_sat(regex->range_capacity, sizeof(*regex->ranges)));
    feri_free(env, regex->threads, feri_mul_sat(regex->step_count, 3 * sizeof(uint32_t)));
    feri_free(env, regex->marks, feri_mul_sat(regex->step_count, sizeof(uint32_t)));
}
