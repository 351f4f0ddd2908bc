/* SPDX-License-Identifier: Apache-2.0
 *
 * Running a regular expression's program over a text: all threads take each character at once, and
 * a step is entered once per position, so time is text times program. Called by string_regex.c.
 */
#include "base/error.h"
#include "host/regex.h"

#include <string.h>

uint32_t feri_regex_next(const char **at, const char *end) {
    const uint8_t *c = (const uint8_t *)*at;
    size_t left = (size_t)(end - *at);
    uint32_t length = c[0] < 0x80                   ? 1
                      : c[0] >= 0xC2 && c[0] < 0xE0 ? 2
                      : c[0] >= 0xE0 && c[0] < 0xF0 ? 3
                      : c[0] >= 0xF0 && c[0] < 0xF5 ? 4
                                                    : 0;
    uint32_t point = length > 1 ? c[0] & (0xFFu >> (length + 1)) : c[0];
    int is_fine = length > 0 && length <= left;
    for (uint32_t i = 1; is_fine && i < length; i++) {
        is_fine = (c[i] & 0xC0) == 0x80;
        point = point << 6 | (c[i] & 0x3Fu);
    }
    *at += is_fine ? length : 1;
    return is_fine ? point : 0xFFFD;
}

static int is_word(uint32_t point) {
    return point < 128 && ((point | 32) - 'a' < 26u || point - '0' < 10u || point == '_');
}

#define NO_CHARACTER UINT32_MAX
#define WORK_PER_CHECK 16384

static int holds(uint32_t assertion, uint32_t before, uint32_t after) {
    int is_edge =
        (before != NO_CHARACTER && is_word(before)) != (after != NO_CHARACTER && is_word(after));
    switch (assertion) {
    case FERI_REGEX_BEGIN:
        return before == NO_CHARACTER;
    case FERI_REGEX_END:
        return after == NO_CHARACTER;
    case FERI_REGEX_LINE_BEGIN:
        return before == NO_CHARACTER || before == '\n';
    case FERI_REGEX_LINE_END:
        return after == NO_CHARACTER || after == '\n';
    case FERI_REGEX_WORD:
        return is_edge;
    default:
        return !is_edge;
    }
}

static int set_has(const feri_regex *regex, uint32_t set, uint32_t point) {
    const feri_regex_set *s = &regex->sets[set];
    for (uint32_t i = 0; i < s->count; i++) {
        const feri_regex_range *range = &regex->ranges[s->first + i];
        if (point >= range->low && point <= range->high) {
            return !s->is_negated;
        }
    }
    return (int)s->is_negated;
}

/* What a walk over the text holds at one place. */
typedef struct place {
    uint32_t before, after;
    uint32_t mark;
} place;

/* Adds step and all it leads to without a character; 1 when that is a match. */
static int
add_thread(feri_regex *regex, const place *p, uint32_t step, uint32_t *list, uint32_t *count) {
    uint32_t *stack = regex->threads + 2 * (size_t)regex->step_count, depth = 0;
    int matches = 0;
    if (regex->marks[step] == p->mark) {
        return 0;
    }
    regex->marks[step] = p->mark;
    stack[depth++] = step;
    while (depth > 0) {
        const feri_regex_step *now = &regex->steps[stack[--depth]];
        uint32_t here = (uint32_t)(now - regex->steps);
        uint32_t next[2] = {now->x, now->y};
        uint32_t nexts = now->kind == FERI_REGEX_SPLIT ? 2 : now->kind == FERI_REGEX_JUMP;
        if (now->kind == FERI_REGEX_SET) {
            list[(*count)++] = here;
        }
        matches |= now->kind == FERI_REGEX_MATCH;
        if (now->kind == FERI_REGEX_ASSERT && holds(now->x, p->before, p->after)) {
            next[0] = here + 1;
            nexts = 1;
        }
        for (uint32_t i = nexts; i-- > 0;) { /* each step is pushed once, so the stack has room */
            if (regex->marks[next[i]] != p->mark) {
                regex->marks[next[i]] = p->mark;
                stack[depth++] = next[i];
            }
        }
    }
    return matches;
}

fer_status
feri_regex_matches(feri_regex *regex, const char *text, size_t length, int *out_matches) {
    const char *at = text, *end = text + length;
    uint32_t *now = regex->threads, *next = now + regex->step_count, count = 0;
    uint32_t point = at < end ? feri_regex_next(&at, end) : NO_CHARACTER;
    place p = {.before = NO_CHARACTER, .after = point, .mark = 1};
    memset(regex->marks, 0, regex->step_count * sizeof(*regex->marks));
    int matches = add_thread(regex, &p, 0, now, &count);
    while (p.after != NO_CHARACTER && count > 0) {
        uint32_t next_count = 0, *held = now;
        point = p.after;
        p.before = point;
        p.after = at < end ? feri_regex_next(&at, end) : NO_CHARACTER;
        p.mark++;
        if (p.mark == 0) { /* 2^32 characters: marks start anew */
            memset(regex->marks, 0, regex->step_count * sizeof(*regex->marks));
            p.mark = 1;
        }
        matches = 0;
        regex->work += count + 1;
        if (regex->work > WORK_PER_CHECK && regex->check) {
            regex->work = 0;
            FER_TRY(regex->check(regex->check_self));
        }
        for (uint32_t i = 0; i < count; i++) {
            if (set_has(regex, regex->steps[now[i]].x, point)) {
                matches |= add_thread(regex, &p, now[i] + 1, next, &next_count);
            }
        }
        now = next;
        next = held;
        count = next_count;
    }
    *out_matches = matches && p.after == NO_CHARACTER;
    return FER_OK;
}
