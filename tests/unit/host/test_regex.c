/* SPDX-License-Identifier: Apache-2.0
 *
 * Regular expressions: what matches wholly, what is refused, and that no pattern takes long.
 */
#include "base/error.h"
#include "host/regex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static feri_env *env;

/* 1 or 0, or minus the status where the pattern is refused. */
static int matches(const char *pattern, const char *text) {
    feri_regex regex;
    int found = 0;
    fer_status status = feri_regex_open(&regex, env, pattern, strlen(pattern));
    if (status == FER_OK) {
        status = feri_regex_matches(&regex, text, strlen(text), &found);
    }
    feri_regex_close(&regex);
    return status == FER_OK ? found : -(int)status;
}

static void whole_texts_match(void **state) {
    static const struct {
        const char *pattern, *text;
        int expected;
    } cases[] = {
        {"",                       "",                 1},
        {"",                       "a",                0},
        {"abc",                    "abc",              1},
        {"abc",                    "abcd",             0},
        {"a|bc|",                  "bc",               1},
        {"a|bc|",                  "",                 1},
        {"a|bc|",                  "b",                0},
        {"(a|b)*c",                "ababc",            1},
        {"(?:a|b)+?",              "abab",             1},
        {"a{2,3}",                 "a",                0},
        {"a{2,3}",                 "aaa",              1},
        {"a{2,3}",                 "aaaa",             0},
        {"a{2}",                   "aa",               1},
        {"a{,2}",                  "a{,2}",            1}, /* no count */
        {"(?P<name>x)(?<other>y)", "xy",               1},
        {"[a-c_]+",                "b_a",              1},
        {"[^a-c]",                 "b",                0},
        {"[]a]+",                  "]a",               1},
        {"[a\\]-]",                "-",                1},
        {"[[:alpha:][:digit:]]*",  "Ab9",              1},
        {"[[:^alpha:]]",           "9",                1},
        {"\\d+\\.\\d*",            "12.",              1},
        {"\\w\\W\\s\\S",           "a- b",             1},
        {"[\\d\\-]+",              "1-2",              1},
        {".",                      "\n",               0},
        {"(?s).",                  "\n",               1},
        {"(?i)Ab[c-d]",            "aBD",              1},
        {"a(?i)b(?-i)c",           "aBc",              1},
        {"a(?i)b(?-i)c",           "aBC",              0},
        {"a(?i:b)c",               "aBC",              0},
        {"\\bab\\b",               "ab",               1},
        {"a\\bb",                  "ab",               0},
        {"^ab$",                   "ab",               1},
        {"a^b",                    "ab",               0},
        {"(?m)a$\\n^b",            "a\nb",             1},
        {"\\Aa\\z",                "a",                1},
        {"\\x41\\x{e9}\\101",
         "A\xc3\xa9"
         "A",                                          1},
        {".",                      "\xe2\x82\xac",     1}, /* one character of three bytes */
        {"\xc3\xa9+",              "\xc3\xa9\xc3\xa9", 1},
        {"\\Qa.b\\E.",             "a.bx",             1},
        {"\\Qa.b\\E.",             "axbx",             0},
        {"(a*)*",                  "aaaa",             1},
        {"(|a)*",                  "aa",               1},
        {"\\Q",                    "",                 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int found = matches(cases[i].pattern, cases[i].text);
        if (found != cases[i].expected) {
            fail_msg("'%s' on '%s': %d", cases[i].pattern, cases[i].text, found);
        }
    }
}

static void wrong_patterns_are_refused(void **state) {
    static const char *const wrong[] = {"(",
                                        ")",
                                        "a)",
                                        "[",
                                        "[a",
                                        "*",
                                        "+a",
                                        "a|*",
                                        "[b-a]",
                                        "a{3,2}",
                                        "a{1001}",
                                        "\\",
                                        "\\xg",
                                        "(?z)",
                                        "(?",
                                        "[[:nope:]]",
                                        "a**",
                                        "\\q",
                                        "(?P<>a)"};
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        if (matches(wrong[i], "a") != -(int)FER_INVALID_MODEL) {
            fail_msg("'%s' was not refused", wrong[i]);
        }
    }
    assert_int_equal(matches("\\pL", "a"), -(int)FER_UNSUPPORTED);
    assert_int_equal(matches("(a)\\1", "a"), -(int)FER_UNSUPPORTED);
    assert_int_equal(matches("((a{1000}){1000}){1000}", "a"), -(int)FER_LIMIT);
    assert_int_equal(matches("((((){1000}){1000}){1000}){1000}", ""), -(int)FER_LIMIT);
}

static void deep_groups_are_a_limit(void **state) {
    (void)state;
    char pattern[4001];
    memset(pattern, '(', 4000);
    pattern[4000] = '\0';
    assert_int_equal(matches(pattern, "a"), -(int)FER_LIMIT);
}

/* Backtracking would take 2^60 steps. */
static void nothing_is_exponential(void **state) {
    (void)state;
    char text[61];
    memset(text, 'a', 60);
    text[60] = '\0';
    assert_int_equal(matches("(a*)*(a|aa)+b", text), 0);
    assert_int_equal(matches("(a|a?)+", text), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_texts_match),
        cmocka_unit_test(wrong_patterns_are_refused),
        cmocka_unit_test(deep_groups_are_a_limit),
        cmocka_unit_test(nothing_is_exponential),
    };
    if (feri_env_create(NULL, &env) != FER_OK) {
        return 1;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    feri_env_release(env);
    return failed;
}
