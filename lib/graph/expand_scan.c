/* SPDX-License-Identifier: Apache-2.0
 *
 * Scanning of the expansion text; see expand_scan.h. Numbers are read by hand, since strtod asks
 * the locale what a decimal point looks like.
 */
#include "graph/expand_scan.h"

#include <math.h>
#include <string.h>

static int is_digit(char c) { return c >= '0' && c <= '9'; }
static int is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

void feri_scan_start(feri_scan *scan, const char *text) {
    scan->at = text;
    scan->line = 1;
    scan->started = 0;
}

static void skip_blanks(feri_scan *scan) {
    while (*scan->at == ' ' || *scan->at == '\t') {
        scan->at++;
    }
    if (*scan->at == '#') {
        scan->at += strcspn(scan->at, "\n");
    }
}

static void skip_space(feri_scan *scan) {
    skip_blanks(scan);
    while (*scan->at == '\n') {
        scan->at++;
        scan->line++;
        skip_blanks(scan);
    }
}

int feri_scan_exact(feri_scan *scan) {
    feri_scan trial = *scan;
    skip_space(&trial);
    feri_word word = feri_scan_word(&trial);
    if (!feri_word_is(word, "exact") || !feri_scan_line_is_over(&trial)) {
        return 0;
    }
    *scan = trial;
    return 1;
}

int feri_scan_next_line(feri_scan *scan) {
    skip_space(scan);
    return *scan->at != '\0';
}

int feri_scan_line_is_over(feri_scan *scan) {
    skip_blanks(scan);
    return *scan->at == '\n' || *scan->at == '\0';
}

int feri_scan_take(feri_scan *scan, char wanted) {
    feri_scan ahead = *scan;
    skip_blanks(&ahead);
    /* An opening mark has to follow on the same line; closing ones and commas may not. */
    if (*ahead.at == '\n' && (wanted == ')' || wanted == ']' || wanted == '}')) {
        skip_space(&ahead);
    }
    if (*ahead.at != wanted) {
        return 0;
    }
    ahead.at++;
    if (wanted == ',' || wanted == '(') {
        skip_space(&ahead);
    }
    *scan = ahead;
    return 1;
}

feri_word feri_scan_word(feri_scan *scan) {
    skip_blanks(scan);
    feri_word word = {scan->at, 0};
    if (is_letter(*scan->at)) {
        while (is_letter(scan->at[word.length]) || is_digit(scan->at[word.length])) {
            word.length++;
        }
    }
    scan->at += word.length;
    return word;
}

int feri_scan_quoted(feri_scan *scan, feri_word *out_word) {
    skip_blanks(scan);
    if (*scan->at != '\'') {
        return 0;
    }
    size_t length = strcspn(scan->at + 1, "'\n");
    if (scan->at[1 + length] != '\'') {
        return 0;
    }
    *out_word = (feri_word){scan->at + 1, (uint32_t)length};
    scan->at += length + 2;
    return 1;
}

/* value * 10^exponent. Exact up to 10^22; beyond, long double keeps the error below a ulp of f32.
 */
static double scaled(uint64_t value, int exponent) {
    long double power = 1.0L;
    for (int e = exponent < 0 ? -exponent : exponent; e > 0; e--) {
        power *= 10.0L;
    }
    return (double)(exponent < 0 ? (long double)value / power : (long double)value * power);
}

int feri_scan_number(feri_scan *scan, feri_number *out_number) {
    skip_blanks(scan);
    const char *at = scan->at;
    int negative = *at == '-';
    at += negative;
    memset(out_number, 0, sizeof(*out_number));
    if (strncmp(at, "inf", 3) == 0 || strncmp(at, "nan", 3) == 0) {
        out_number->is_float = 1;
        out_number->f = *at == 'n' ? (double)NAN : negative ? -(double)INFINITY : (double)INFINITY;
        scan->at = at + 3;
        return 1;
    }
    uint64_t digits = 0;
    int exponent = 0;
    int any = 0;
    for (; is_digit(*at); at++, any = 1) {
        digits = digits * 10 + (uint64_t)(*at - '0');
    }
    if (*at == '.' && any) {
        out_number->is_float = 1;
        for (at++; is_digit(*at); at++) {
            digits = digits * 10 + (uint64_t)(*at - '0');
            exponent--;
        }
    }
    if (any && (*at == 'e' || *at == 'E')) {
        int sign = at[1] == '-' ? -1 : 1;
        int written = 0;
        out_number->is_float = 1;
        for (at += at[1] == '-' || at[1] == '+' ? 2 : 1; is_digit(*at) && written < 1000; at++) {
            written = written * 10 + (*at - '0');
        }
        exponent += sign * written;
    }
    scan->at = at;
    double value = scaled(digits, exponent);
    out_number->f = negative ? -value : value;
    out_number->i = negative ? (int64_t)(0 - digits) : (int64_t)digits;
    return any;
}

int feri_word_is(feri_word word, const char *text) {
    return word.length == strlen(text) && memcmp(word.text, text, word.length) == 0;
}
