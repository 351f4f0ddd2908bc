/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads small files whole: the kernel's about cgroups, manifests.
 */
#include "base/text.h"

#include <fcntl.h>
#include <unistd.h>

int64_t feri_read_small(const char *path, char *text, size_t capacity) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return -1;
    }
    size_t length = 0;
    ssize_t got = 1;
    while (got > 0) {
        got = read(file, text + length, capacity - 1 - length);
        length += got > 0 ? (size_t)got : 0;
    }
    (void)close(file);
    text[length] = 0;
    return got < 0 ? -1 : (int64_t)length;
}
