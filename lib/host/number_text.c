/* SPDX-License-Identifier: Apache-2.0
 *
 * Printing takes the digits of "%.*e" and lays them out itself, whatever the locale's point is;
 * parsing hands strtod an integer with an exponent, which has no point.
 */
#include "host/number_text.h"

#include "tensor/dtype.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* No double needs more digits to be told from its neighbors; see digits_of_text. */
enum { MOST_DIGITS = 780 };

static int is_digit(char c) { return c >= '0' && c <= '9'; }

/* ---- printing ---- */

/* value as the dtype holds it. */
static double rounded(fer_dtype dtype, double value) {
    uint64_t cell = 0;
    feri_store_run_f64(dtype, &cell, 0, 1, &value, /*saturate=*/0);
    return feri_load_f64(dtype, &cell, 0);
}

/* The digits of a "%.*e", without zeros at the end, plain where the exponent is in [-4,
 * most_plain). */
static size_t lay_out(const char *text, int most_plain, char *out) {
    char digits[DBL_DECIMAL_DIG];
    size_t length = 0;
    int count = 0, used = 1;
    int e = 0;
    for (; *text != 'e'; text++) { /* the point may be anything */
        if (is_digit(*text)) {
            digits[count++] = *text;
            used = *text != '0' ? count : used;
        }
    }
    for (const char *at = text + 2; *at != 0; at++) {
        e = e * 10 + *at - '0';
    }
    e = text[1] == '-' ? -e : e;
    int is_plain = e >= -4 && e < most_plain;
    int point = is_plain ? e + 1 : 1; /* digits before the point */
    for (int i = point > 0 ? 0 : point - 1; i < used || i < point; i++) {
        out[length++] = i >= 0 && i < used ? digits[i] : '0';
        if (i + 1 == point && point < used) {
            out[length++] = '.';
        }
    }
    if (!is_plain) {
        length += (size_t)snprintf(out + length, 8, "e%+03d", e);
    }
    return length;
}

static size_t print_float(fer_dtype dtype, double value, char *out) {
    if (isnan(value)) {
        memcpy(out, "NaN", 3);
        return 3;
    }
    size_t sign = signbit(value) ? 1 : 0;
    out[0] = '-';
    value = fabs(value);
    if (isinf(value)) {
        memcpy(out + sign, "INF", 3);
        return sign + 3;
    }
    char text[48];
    int is_double = dtype == FER_F64;
    /* Fewer digits than these always read back where the dtype has its full precision, so trailing
     * zeros tell the fewest. */
    int significant = 1;
    if (value >= (is_double ? DBL_MIN : (double)FLT_MIN)) {
        significant = is_double ? DBL_DIG : dtype == FER_F32 ? FLT_DIG : 1;
    }
    double back;
    do {
        snprintf(text, sizeof text, "%.*e", significant - 1, value);
        back = dtype == FER_F32 ? (double)strtof(text, NULL) : strtod(text, NULL);
    } while (rounded(dtype, back) != value && ++significant <= DBL_DECIMAL_DIG);
    return sign + lay_out(text, is_double ? 17 : 8, out + sign);
}

size_t feri_number_print(fer_dtype dtype,
                         const void *data,
                         uint64_t index,
                         char out[FERI_NUMBER_TEXT_BYTES]) {
    if (feri_dtype_class(dtype) == FERI_CLASS_FLOAT) {
        return print_float(dtype, feri_load_f64(dtype, data, index), out);
    }
    int64_t number = feri_load_i64(dtype, data, index);
    int length = dtype == FER_U64
                     ? snprintf(out, FERI_NUMBER_TEXT_BYTES, "%llu", (unsigned long long)number)
                     : snprintf(out, FERI_NUMBER_TEXT_BYTES, "%lld", (long long)number);
    return (size_t)length;
}

/* ---- parsing ---- */

typedef struct reader {
    const char *at;
    const char *end;
} reader;

static int is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* The whole rest is word, in any case; word is in small letters. */
static int is_word(const reader *r, const char *word) {
    const char *at = r->at;
    while (at < r->end && *word != 0 && (*at | 0x20) == *word) {
        at++;
        word++;
    }
    return at == r->end && *word == 0;
}

static int take_sign(reader *r) {
    int is_negative = r->at < r->end && *r->at == '-';
    if (r->at < r->end && (*r->at == '-' || *r->at == '+')) {
        r->at++;
    }
    return is_negative;
}

/* "e-12" at the end; 0 when what is left is something else. */
static int take_exponent(reader *r, int64_t *exponent) {
    if (r->at == r->end) {
        return 1;
    }
    if (*r->at != 'e' && *r->at != 'E') {
        return 0;
    }
    r->at++;
    int is_negative = take_sign(r);
    int64_t number = 0;
    if (r->at == r->end) {
        return 0;
    }
    for (; r->at < r->end && is_digit(*r->at); r->at++) {
        number = number < INT64_C(1) << 50 ? number * 10 + (*r->at - '0') : number;
    }
    *exponent += is_negative ? -number : number;
    return r->at == r->end;
}

/* The text as "<digits>e<exponent>" in out (MOST_DIGITS + 32 bytes). Digits past MOST_DIGITS only
 * matter for being zero or not: one more digit stands for them. 0 when it is no number. */
static int digits_of_text(reader *r, char *out) {
    int64_t exponent = 0;
    size_t count = 0;
    int has_digits = 0;
    int has_point = 0;
    int has_rest = 0;
    for (; r->at < r->end && (is_digit(*r->at) || (*r->at == '.' && !has_point)); r->at++) {
        if (*r->at == '.') {
            has_point = 1;
            continue;
        }
        has_digits = 1;
        exponent -= has_point;
        if (count == 0 && *r->at == '0') {
            continue;
        }
        if (count < MOST_DIGITS) {
            out[count++] = *r->at;
        } else {
            exponent++;
            has_rest |= *r->at != '0';
        }
    }
    if (!has_digits || !take_exponent(r, &exponent)) {
        return 0;
    }
    if (has_rest) {
        out[count++] = '1';
        exponent--;
    }
    if (count == 0) {
        out[count++] = '0';
    }
    exponent = exponent > 99999 ? 99999 : exponent < -99999 ? -99999 : exponent;
    snprintf(out + count, 16, "e%d", (int)exponent);
    return 1;
}

static int parse_float(reader r, int is_single, double *out) {
    char text[MOST_DIGITS + 32];
    int is_negative = take_sign(&r);
    if (is_word(&r, "inf") || is_word(&r, "infinity")) {
        *out = (double)INFINITY;
    } else if (is_word(&r, "nan")) {
        *out = (double)NAN;
    } else if (digits_of_text(&r, text)) {
        /* strtof, because a double in between would be rounded twice */
        *out = is_single ? (double)strtof(text, NULL) : strtod(text, NULL);
    } else {
        return 0;
    }
    *out = is_negative ? -*out : *out;
    return 1;
}

/* Plain digits with a sign, exactly; 0 when there is anything else or they are past 64 bits. */
static int parse_digits(reader r, int *out_negative, uint64_t *out_magnitude) {
    uint64_t number = 0;
    *out_negative = take_sign(&r);
    int is_good = r.at < r.end;
    for (; is_good && r.at < r.end; r.at++) {
        is_good = is_digit(*r.at) && !__builtin_mul_overflow(number, (uint64_t)10, &number) &&
                  !__builtin_add_overflow(number, (uint64_t)(*r.at - '0'), &number);
    }
    *out_magnitude = number;
    return is_good;
}

/* Whether the dtype holds it, and as feri_store_run_i64 wants it. */
static int fit_integer(fer_dtype dtype, int is_negative, uint64_t magnitude, int64_t *out) {
    uint32_t bits = fer_dtype_bits(dtype);
    int is_signed = feri_dtype_class(dtype) == FERI_CLASS_SIGNED;
    uint64_t most = UINT64_MAX >> (64 - bits + (is_signed ? 1 : 0));
    uint64_t least = is_signed ? most + 1 : 0;
    if (magnitude > (is_negative ? least : most)) {
        return 0;
    }
    uint64_t number = is_negative ? 0 - magnitude : magnitude;
    memcpy(out, &number, sizeof *out);
    return 1;
}

int feri_number_parse(fer_dtype dtype,
                      const char *text,
                      size_t length,
                      int32_t saturate,
                      void *data,
                      uint64_t index) {
    reader r = {text, text + length};
    while (r.at < r.end && is_blank(*r.at)) {
        r.at++;
    }
    while (r.at < r.end && is_blank(r.end[-1])) {
        r.end--;
    }
    int32_t class = feri_dtype_class(dtype);
    int is_integer = class == FERI_CLASS_SIGNED || class == FERI_CLASS_UNSIGNED;
    int is_negative = 0;
    uint64_t magnitude = 0;
    double value = 0;
    int64_t number = 0;
    if (class == FERI_CLASS_BOOL && (is_word(&r, "true") || is_word(&r, "false"))) {
        value = is_word(&r, "true");
    } else if (!is_integer || !parse_digits(r, &is_negative, &magnitude)) {
        if (!parse_float(r, dtype == FER_F32, &value)) {
            return 0;
        }
        is_negative = value < 0;
        if (is_integer && !(fabs(value) < 18446744073709551616.0)) {
            return 0;
        }
        magnitude = is_integer ? (uint64_t)fabs(value) : 0;
    }
    if (!is_integer) {
        feri_store_run_f64(dtype, data, index, 1, &value, saturate);
        return 1;
    }
    if (!fit_integer(dtype, is_negative, magnitude, &number)) {
        return 0;
    }
    feri_store_run_i64(dtype, data, index, 1, &number);
    return 1;
}
