/* SPDX-License-Identifier: Apache-2.0
 *
 * Printing takes the digits of "%.*e" and lays them out itself; parsing hands strtod an integer
 * with an exponent. Neither form has a decimal point, so the locale has no say.
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

/* ---- printing ---- */

typedef struct decimal {
    char digits[24]; /* without trailing zeros, at least one */
    int count;
    int exponent; /* of the first digit */
} decimal;

/* |value| with so many significant digits. */
static void to_decimal(double value, int significant, decimal *out) {
    char text[64];
    snprintf(text, sizeof text, "%.*e", significant - 1, value);
    const char *at = text;
    out->count = 0;
    for (; *at && *at != 'e'; at++) {
        if (*at >= '0' && *at <= '9' && out->count < (int)sizeof out->digits) {
            out->digits[out->count++] = *at;
        }
    }
    out->exponent = *at ? (int)strtol(at + 1, NULL, 10) : 0;
    while (out->count > 1 && out->digits[out->count - 1] == '0') {
        out->count--;
    }
}

static double from_decimal(fer_dtype dtype, const decimal *number) {
    char text[48];
    snprintf(text,
             sizeof text,
             "%.*se%d",
             number->count,
             number->digits,
             number->exponent - (number->count - 1));
    return dtype == FER_F32 ? (double)strtof(text, NULL) : strtod(text, NULL);
}

/* value as the dtype holds it. */
static double rounded(fer_dtype dtype, double value) {
    uint64_t cell = 0;
    feri_store_run_f64(dtype, &cell, 0, 1, &value, /*saturate=*/0);
    return feri_load_f64(dtype, &cell, 0);
}

static size_t lay_out(const decimal *number, int most_plain, char *out) {
    size_t length = 0;
    int e = number->exponent;
    int is_plain = e >= -4 && e < most_plain;
    int point = is_plain ? e + 1 : 1; /* digits before the point */
    if (point <= 0) {
        out[length++] = '0';
        out[length++] = '.';
        for (int i = point; i < 0; i++) {
            out[length++] = '0';
        }
    }
    for (int i = 0; i < number->count || i < point; i++) {
        if (i == point && i > 0) {
            out[length++] = '.';
        }
        out[length++] = i < number->count ? number->digits[i] : '0';
    }
    if (!is_plain) {
        out[length++] = 'e';
        length += (size_t)snprintf(out + length, 8, "%c%02d", e < 0 ? '-' : '+', e < 0 ? -e : e);
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
    decimal number;
    int is_double = dtype == FER_F64;
    /* Fewer digits than these always read back where the dtype has its full precision, so trailing
     * zeros tell the fewest. */
    int significant = 1;
    if (value >= (is_double ? DBL_MIN : (double)FLT_MIN)) {
        significant = is_double ? DBL_DIG : dtype == FER_F32 ? FLT_DIG : 1;
    }
    for (;; significant++) {
        to_decimal(value, significant, &number);
        if (significant >= DBL_DECIMAL_DIG ||
            rounded(dtype, from_decimal(dtype, &number)) == value) {
            break;
        }
    }
    return sign + lay_out(&number, is_double ? 17 : 8, out + sign);
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

static int is_digit(char c) { return c >= '0' && c <= '9'; }

/* The whole rest is word, in any case; word is in small letters. */
static int is_word(const reader *r, const char *word) {
    size_t length = strlen(word);
    if ((size_t)(r->end - r->at) != length) {
        return 0;
    }
    for (size_t i = 0; i < length; i++) {
        char c = r->at[i];
        c = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
        if (c != word[i]) {
            return 0;
        }
    }
    return 1;
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

/* Plain digits, exactly; 0 when there is anything else or they are past 64 bits. */
static int parse_digits(reader r, uint64_t *out_magnitude) {
    uint64_t number = 0;
    if (r.at == r.end) {
        return 0;
    }
    for (; r.at < r.end; r.at++) {
        if (!is_digit(*r.at) || __builtin_mul_overflow(number, (uint64_t)10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(*r.at - '0'), &number)) {
            return 0;
        }
    }
    *out_magnitude = number;
    return 1;
}

static int parse_magnitude(reader r, int *out_negative, uint64_t *out_magnitude) {
    reader digits = r;
    *out_negative = take_sign(&digits);
    if (parse_digits(digits, out_magnitude)) {
        return 1;
    }
    double value = 0;
    if (!parse_float(r, /*is_single=*/0, &value) || !(fabs(value) < 18446744073709551616.0)) {
        return 0;
    }
    *out_magnitude = (uint64_t)fabs(value);
    return 1;
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

static int parse_bool(const reader *r, int64_t *out) {
    double value = 0;
    if (is_word(r, "true") || is_word(r, "false")) {
        *out = is_word(r, "true");
        return 1;
    }
    if (!parse_float(*r, /*is_single=*/0, &value)) {
        return 0;
    }
    *out = value != 0;
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
    int64_t number = 0;
    if (class == FERI_CLASS_FLOAT) {
        double value = 0;
        if (!parse_float(r, dtype == FER_F32, &value)) {
            return 0;
        }
        feri_store_run_f64(dtype, data, index, 1, &value, saturate);
        return 1;
    }
    if (class == FERI_CLASS_BOOL) {
        if (!parse_bool(&r, &number)) {
            return 0;
        }
    } else {
        int is_negative = 0;
        uint64_t magnitude = 0;
        if (!parse_magnitude(r, &is_negative, &magnitude) ||
            !fit_integer(dtype, is_negative, magnitude, &number)) {
            return 0;
        }
    }
    feri_store_run_i64(dtype, data, index, 1, &number);
    return 1;
}
