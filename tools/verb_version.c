/* SPDX-License-Identifier: Apache-2.0
 *
 * `ferrule version`: the command's version, the library's, and how many ops it knows.
 */
#include "command.h"

int verb_version(const arguments *args) {
    if (args->json) {
        json out;
        json_begin(&out, stdout);
        json_open(&out, NULL, '{');
        json_text(&out, "version", fer_version_string());
        json_integer(&out, "number", fer_version());
        json_integer(&out, "ops", fer_op_count());
        json_close(&out, '}');
        json_end(&out);
    } else {
        printf("ferrule %s (%u ops known)\n", fer_version_string(), fer_op_count());
    }
    return EXIT_RIGHT;
}
