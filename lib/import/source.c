/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening files; see source.h. External data is hostile until proven: each component of its path is
 * opened by itself without following links, and what is found must be a regular file.
 */
#include "import/source.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_SHOWN 200 /* of names from the file, in messages */

void feri_source_init(feri_source *source, feri_env *env) {
    memset(source, 0, sizeof(*source));
    source->env = env;
    source->folder = -1;
    source->path = "";
    feri_name_map_init(&source->names, env);
    feri_bump_init(&source->scratch, env);
}

void feri_source_finish(feri_source *source) {
    for (uint32_t f = 0; f < source->file_count; f++) {
        feri_buffer_release(source->files[f]);
    }
    feri_free(source->env, source->files, (uint64_t)source->file_capacity * sizeof(feri_buffer *));
    feri_buffer_release(source->model);
    feri_name_map_finish(&source->names);
    feri_bump_finish(&source->scratch);
    if (source->folder >= 0) {
        (void)close(source->folder);
    }
}

/* In the C locale whatever the caller's is. */
static const char *errno_text(int code) {
    static const struct {
        int code;
        const char *text;
    } texts[] = {
        {ENOENT,       "no such file or folder"   },
        {EACCES,       "permission denied"        },
        {EISDIR,       "it is a folder"           },
        {ENOTDIR,      "a part of it is no folder"},
        {ELOOP,        "it is a symbolic link"    },
        {EMFILE,       "too many open files"      },
        {ENFILE,       "too many open files"      },
        {EIO,          "input/output error"       },
        {ENAMETOOLONG, "the name is too long"     },
        {ENOMEM,       "out of memory"            },
    };
    for (size_t t = 0; t < sizeof(texts) / sizeof(texts[0]); t++) {
        if (texts[t].code == code) {
            return texts[t].text;
        }
    }
    return "see errno";
}

static fer_status io_failed(const char *what, const char *path, int code) {
    return feri_fail(FER_IO, "cannot %s '%s': %s (errno %d)", what, path, errno_text(code), code);
}

/* ---- contents ---- */

static fer_status read_all(int file, const char *path, feri_buffer *buffer) {
    uint64_t done = 0;
    while (done < buffer->bytes) {
        uint64_t step = buffer->bytes - done;
        step = step < (1u << 30) ? step : (1u << 30);
        ssize_t got = read(file, buffer->host + done, (size_t)step);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return io_failed("read", path, errno);
        }
        if (got == 0) {
            return feri_fail(FER_IO,
                             "'%s' became shorter while it was read (%llu of %llu bytes)",
                             path,
                             (unsigned long long)done,
                             (unsigned long long)buffer->bytes);
        }
        done += (uint64_t)got;
    }
    return FER_OK;
}

/* release of mapped memory: self holds the length. */
static void unmap(void *self, void *memory) { (void)munmap(memory, (size_t)(uintptr_t)self); }

static fer_status
map_all(feri_source *source, int file, const char *path, uint64_t bytes, feri_buffer **out) {
    void *memory = mmap(NULL, (size_t)bytes, PROT_READ, MAP_PRIVATE, file, 0);
    if (memory == MAP_FAILED) {
        return io_failed("map", path, errno);
    }
    return feri_buffer_import(
        source->env, memory, bytes, /*is_read_only=*/1, unmap, (void *)(uintptr_t)bytes, out);
}

/* The contents of an open file as a buffer; the file stays open. */
static fer_status
take_contents(feri_source *source, int file, const char *path, feri_buffer **out_buffer) {
    struct stat info;
    if (fstat(file, &info) != 0) {
        return io_failed("read", path, errno);
    }
    if (!S_ISREG(info.st_mode)) {
        return feri_fail(FER_IO, "'%s' is not a regular file", path);
    }
    uint64_t bytes = (uint64_t)info.st_size;
    uint64_t limit = source->env->limits.max_model_bytes;
    if (bytes > limit || source->total_bytes > limit - bytes || bytes > SIZE_MAX / 2) {
        return feri_fail(FER_LIMIT,
                         "'%s' has %llu bytes; with it the model is larger than max_model_bytes "
                         "allows (%llu)",
                         path,
                         (unsigned long long)bytes,
                         (unsigned long long)limit);
    }
    feri_buffer *buffer = NULL;
    if (source->is_mapped && bytes > 0) {
        FER_TRY(map_all(source, file, path, bytes, &buffer));
    } else {
        FER_TRY(feri_buffer_create(source->env, bytes, &buffer));
        fer_status status = read_all(file, path, buffer);
        if (status != FER_OK) {
            feri_buffer_release(buffer);
            return status;
        }
    }
    source->total_bytes += bytes;
    *out_buffer = buffer;
    return FER_OK;
}

/* ---- the model ---- */

/* O_NONBLOCK: a pipe must not hang the open; take_contents refuses it then. */
static int open_file(int folder, const char *path, int flags) {
    return openat(folder, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | flags);
}

fer_status feri_source_open_folder(feri_source *source, const char *path) {
    source->folder = open(path, O_RDONLY | O_CLOEXEC | O_DIRECTORY);
    return source->folder >= 0 ? FER_OK : io_failed("open the folder", path, errno);
}

static fer_status open_parent(feri_source *source, const char *path) {
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        return feri_source_open_folder(source, ".");
    }
    uint64_t length = slash == path ? 1 : (uint64_t)(slash - path);
    char *folder = feri_strndup(source->env, path, length);
    if (folder == NULL) {
        return fer_error_last()->status;
    }
    fer_status status = feri_source_open_folder(source, folder);
    feri_free(source->env, folder, length + 1);
    return status;
}

fer_status feri_source_open(feri_source *source, const char *path, int maps) {
    source->path = path;
    source->is_mapped = maps;
    int file = open_file(AT_FDCWD, path, 0);
    if (file < 0) {
        return io_failed("open", path, errno);
    }
    fer_status status = take_contents(source, file, path, &source->model);
    (void)close(file);
    return status == FER_OK ? open_parent(source, path) : status;
}

/* ---- external data ---- */

static fer_status refuse(feri_span location, feri_span tensor_name, const char *why) {
    int shown = (int)(location.length < MOST_SHOWN ? location.length : MOST_SHOWN);
    int named = (int)(tensor_name.length < MOST_SHOWN ? tensor_name.length : MOST_SHOWN);
    return feri_fail(FER_INVALID_MODEL,
                     "tensor '%.*s' has its data in '%.*s': %s; external data must be regular "
                     "files below the model's own folder",
                     named,
                     (const char *)tensor_name.data,
                     shown,
                     (const char *)location.data,
                     why);
}

/* Opens location below folder, a component at a time. text is location with a NUL, and is cut up.
 */
static fer_status open_below(
    feri_source *source, char *text, feri_span location, feri_span tensor_name, int *out_file) {
    int folder = source->folder;
    char *part = text;
    for (;;) {
        char *slash = strchr(part, '/');
        if (slash != NULL) {
            *slash = '\0';
        }
        int is_bad = part[0] == '\0' || strcmp(part, "..") == 0;
        int is_here = strcmp(part, ".") == 0 && slash != NULL;
        int next = -1;
        int code = 0;
        if (!is_bad && !is_here) {
            next = open_file(folder, part, O_NOFOLLOW | (slash != NULL ? O_DIRECTORY : 0));
            code = errno;
        }
        if (!is_here) {
            if (folder != source->folder) {
                (void)close(folder);
            }
            if (is_bad) {
                return refuse(location, tensor_name, "it is absolute or has an empty or '..' part");
            }
            if (next < 0) {
                return refuse(location, tensor_name, errno_text(code));
            }
            folder = next;
        }
        if (slash == NULL) {
            *out_file = folder;
            return FER_OK;
        }
        part = slash + 1;
    }
}

static fer_status open_external(feri_source *source,
                                feri_span location,
                                feri_span tensor_name,
                                feri_buffer **out_buffer) {
    char *text = feri_strndup(source->env, (const char *)location.data, location.length);
    if (text == NULL) {
        return fer_error_last()->status;
    }
    int file = -1;
    fer_status status = open_below(source, text, location, tensor_name, &file);
    feri_free(source->env, text, location.length + 1);
    if (status != FER_OK) {
        return status;
    }
    struct stat info;
    if (fstat(file, &info) != 0 || !S_ISREG(info.st_mode)) {
        status = refuse(location, tensor_name, "it is not a regular file");
    } else {
        status = take_contents(source, file, "external data", out_buffer);
    }
    (void)close(file);
    return status;
}

fer_status feri_source_external(feri_source *source,
                                feri_span location,
                                feri_span tensor_name,
                                feri_buffer **out_buffer) {
    uint32_t index = 0;
    const char *key = (const char *)location.data;
    if (location.length == 0 || memchr(location.data, 0, location.length) != NULL) {
        return refuse(location, tensor_name, "the location is empty or has a NUL in it");
    }
    if (source->folder < 0) {
        return refuse(
            location, tensor_name, "the model comes from memory and no base_folder was given");
    }
    if (feri_name_map_get(&source->names, key, location.length, &index)) {
        *out_buffer = source->files[index];
        return FER_OK;
    }
    FER_TRY(feri_grow(source->env,
                      &source->files,
                      &source->file_capacity,
                      source->file_count + 1,
                      sizeof(feri_buffer *)));
    feri_buffer *buffer = NULL;
    FER_TRY(open_external(source, location, tensor_name, &buffer));
    source->files[source->file_count] = buffer;
    *out_buffer = buffer;
    return feri_name_map_set(&source->names, key, location.length, source->file_count++);
}
