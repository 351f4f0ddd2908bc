/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads and writes numpy's .npy files (format 1.0 to 3.0), little endian, C order. dtypes that
 * numpy lacks are written as raw bytes (V1, V2), sub-byte ones with an element per byte; whoever
 * reads them says what they are. Strings are S (bytes) and, when reading, U (UTF-32) too.
 */
#include "command.h"

#include <stdlib.h>
#include <string.h>

unsigned char *file_read(const char *path, uint64_t *out_bytes) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return NULL;
    }
    unsigned char *data = NULL;
    long size = fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
    if (size >= 0 && size < INT64_MAX && fseek(file, 0, SEEK_SET) == 0) {
        data = malloc((size_t)size + 1);
    }
    if (data != NULL && fread(data, 1, (size_t)size, file) != (size_t)size) {
        free(data);
        data = NULL;
    }
    (void)fclose(file);
    if (data != NULL) {
        data[size] = 0;
        *out_bytes = (uint64_t)size;
    }
    return data;
}

typedef struct npy_header {
    char kind; /* f i u b c V S U */
    uint64_t width;
    uint32_t rank;
    int64_t dims[FER_MAX_RANK];
    uint64_t count;
    const unsigned char *data;
    uint64_t bytes;
} npy_header;

static const struct {
    char kind;
    uint32_t width;
    fer_dtype dtype;
} numpy_dtypes[] = {
    {'f', 4,  FER_F32 },
    {'f', 8,  FER_F64 },
    {'f', 2,  FER_F16 },
    {'i', 1,  FER_I8  },
    {'i', 2,  FER_I16 },
    {'i', 4,  FER_I32 },
    {'i', 8,  FER_I64 },
    {'u', 1,  FER_U8  },
    {'u', 2,  FER_U16 },
    {'u', 4,  FER_U32 },
    {'u', 8,  FER_U64 },
    {'b', 1,  FER_BOOL},
    {'c', 8,  FER_C64 },
    {'c', 16, FER_C128},
};

static const char *parse_shape(const char *at, npy_header *out) {
    out->count = 1;
    at = strchr(at, '(');
    if (at == NULL) {
        return "it has no shape";
    }
    at++;
    for (;;) {
        at += strspn(at, " ,");
        if (*at == ')') {
            return NULL;
        }
        char *end;
        long long dim = strtoll(at, &end, 10);
        if (end == at || dim < 0) {
            return "its shape is malformed";
        }
        if (out->rank == FER_MAX_RANK) {
            return "it has more than 16 dims";
        }
        if (__builtin_mul_overflow(out->count, (uint64_t)dim, &out->count)) {
            return "its dims overflow";
        }
        out->dims[out->rank++] = dim;
        at = end;
    }
}

/* NULL, or a clause that says what is wrong. The text is NUL-terminated by file_read. */
static const char *parse_header(unsigned char *file, uint64_t bytes, npy_header *out) {
    if (bytes < 12 || memcmp(file, "\x93NUMPY", 6) != 0 || file[6] < 1 || file[6] > 3) {
        return "it is not a .npy file of version 1 to 3";
    }
    uint64_t start = file[6] == 1 ? 10 : 12;
    uint64_t length = file[6] == 1 ? (uint64_t)file[8] | (uint64_t)file[9] << 8
                                   : (uint64_t)file[8] | (uint64_t)file[9] << 8 |
                                         (uint64_t)file[10] << 16 | (uint64_t)file[11] << 24;
    if (length == 0 || length > bytes - start) {
        return "its header is cut off";
    }
    char *text = (char *)file + start;
    text[length - 1] = '\0'; /* the newline that ends a header */
    const char *descr = strstr(text, "'descr'");
    const char *order = strstr(text, "'fortran_order'");
    const char *shape = strstr(text, "'shape'");
    if (descr == NULL || order == NULL || shape == NULL) {
        return "its header lacks descr, fortran_order or shape";
    }
    order += strcspn(order, ":");
    order += strspn(order, ": ");
    descr += strlen("'descr'");
    descr += strspn(descr, ": ");
    if (*descr != '\'' || (descr[1] != '<' && descr[1] != '|' && descr[1] != '=')) {
        return "its dtype is structured or big endian";
    }
    out->kind = descr[2];
    out->width = strtoull(descr + 3, NULL, 10);
    const char *wrong = parse_shape(shape, out);
    if (wrong != NULL) {
        return wrong;
    }
    if (strncmp(order, "False", 5) != 0 && out->rank > 1) {
        return "it is in Fortran order; save np.ascontiguousarray(...)";
    }
    uint64_t width = out->width * (out->kind == 'U' ? 4 : 1);
    out->data = file + start + length;
    out->bytes = bytes - start - length;
    if (out->width > UINT32_MAX || (width != 0 && out->count > out->bytes / width)) {
        return "it is shorter than its shape says";
    }
    return NULL;
}

/* UTF-32 to UTF-8; returns bytes written. */
static size_t utf8_from_utf32(const unsigned char *source, uint64_t count, char *out) {
    size_t length = 0;
    for (uint64_t i = 0; i < count; i++) {
        uint32_t code;
        memcpy(&code, source + 4 * i, sizeof code);
        if (code < 0x80) {
            out[length++] = (char)code;
        } else if (code < 0x800) {
            out[length++] = (char)(0xc0 | code >> 6);
            out[length++] = (char)(0x80 | (code & 63));
        } else if (code < 0x10000) {
            out[length++] = (char)(0xe0 | code >> 12);
            out[length++] = (char)(0x80 | (code >> 6 & 63));
            out[length++] = (char)(0x80 | (code & 63));
        } else {
            out[length++] = (char)(0xf0 | (code >> 18 & 7));
            out[length++] = (char)(0x80 | (code >> 12 & 63));
            out[length++] = (char)(0x80 | (code >> 6 & 63));
            out[length++] = (char)(0x80 | (code & 63));
        }
    }
    while (length > 0 && out[length - 1] == '\0') {
        length--;
    }
    return length;
}

static fer_status read_strings(fer_context *context, const npy_header *head, fer_tensor **out) {
    uint64_t cell = head->width * (head->kind == 'U' ? 4 : 1);
    char *text = malloc(head->count * cell + 1);
    const char **strings = calloc(head->count + 1, sizeof *strings);
    size_t *lengths = calloc(head->count + 1, sizeof *lengths);
    fer_status status = FER_OUT_OF_MEMORY;
    if (text != NULL && strings != NULL && lengths != NULL) {
        for (uint64_t i = 0; i < head->count; i++) {
            char *own = text + i * cell;
            const unsigned char *source = head->data + i * cell;
            if (head->kind == 'U') {
                lengths[i] = utf8_from_utf32(source, head->width, own);
            } else {
                memcpy(own, source, cell);
                for (lengths[i] = cell; lengths[i] > 0 && own[lengths[i] - 1] == '\0';) {
                    lengths[i]--;
                }
            }
            strings[i] = own;
        }
        status = fer_tensor_create_strings(context, head->rank, head->dims, strings, lengths, out);
    }
    free(text);
    free((void *)strings);
    free(lengths);
    return status;
}

static fer_dtype dtype_of(const npy_header *head, fer_dtype want) {
    for (size_t i = 0; i < sizeof numpy_dtypes / sizeof *numpy_dtypes; i++) {
        if (numpy_dtypes[i].kind == head->kind && numpy_dtypes[i].width == head->width) {
            return numpy_dtypes[i].dtype;
        }
    }
    uint32_t bits = fer_dtype_bits(want);
    return head->kind == 'V' && bits != 0 && (bits + 7) / 8 == head->width ? want : FER_DTYPE_NONE;
}

int npy_read(fer_context *context, const char *path, fer_dtype want, fer_tensor **out_tensor) {
    uint64_t bytes = 0;
    unsigned char *file = file_read(path, &bytes);
    if (file == NULL) {
        return complain(EXIT_INVALID, "IO", "%s cannot be read", path);
    }
    npy_header head = {0};
    int result = EXIT_RIGHT;
    fer_status status = FER_OK;
    const char *wrong = parse_header(file, bytes, &head);
    fer_dtype dtype = dtype_of(&head, want);
    if (wrong != NULL) {
        result = complain(EXIT_INVALID, "INVALID_INPUT", "%s: %s", path, wrong);
    } else if (head.kind == 'S' || head.kind == 'U') {
        status = read_strings(context, &head, out_tensor);
    } else if (dtype == FER_DTYPE_NONE) {
        result = complain(EXIT_INVALID,
                          "INVALID_INPUT",
                          "%s: its dtype %c%llu means nothing here",
                          path,
                          head.kind,
                          (unsigned long long)head.width);
    } else {
        status = fer_tensor_create(context, dtype, head.rank, head.dims, out_tensor);
        if (status == FER_OK && fer_dtype_bits(dtype) < 8) {
            for (uint64_t i = 0; i < head.count; i++) {
                int is_signed = dtype == FER_I4 || dtype == FER_I2;
                double value = is_signed ? (double)(int8_t)head.data[i] : (double)head.data[i];
                if (dtype == FER_F4E2M1) {
                    uint8_t code = head.data[i] & 15;
                    value = element_get(FER_F4E2M1, &code, 0);
                }
                element_set(dtype, fer_tensor_data(*out_tensor), i, value);
            }
        } else if (status == FER_OK && head.count > 0) {
            memcpy(fer_tensor_data(*out_tensor), head.data, head.count * head.width);
        }
    }
    if (status != FER_OK) {
        result = complain(
            EXIT_INVALID, fer_status_name(status), "%s: %s", path, fer_error_last()->message);
    }
    free(file);
    return result;
}

static int write_header(FILE *file, char kind, uint64_t width, const fer_tensor *tensor) {
    char text[512];
    char order = kind == 'V' || kind == 'S' || width == 1 ? '|' : '<';
    int length = snprintf(text,
                          sizeof text,
                          "{'descr': '%c%c%llu', 'fortran_order': False, 'shape': (",
                          order,
                          kind,
                          (unsigned long long)width);
    for (uint32_t i = 0; i < fer_tensor_rank(tensor); i++) {
        length += snprintf(text + length,
                           sizeof text - (size_t)length,
                           "%lld,%s",
                           (long long)fer_tensor_dims(tensor)[i],
                           i + 1 < fer_tensor_rank(tensor) ? " " : "");
    }
    length += snprintf(text + length, sizeof text - (size_t)length, "), }");
    /* The data begins at a multiple of 64. */
    int total = (10 + length + 1 + 63) / 64 * 64;
    unsigned char magic[10] = {0x93,
                               'N',
                               'U',
                               'M',
                               'P',
                               'Y',
                               1,
                               0,
                               (unsigned char)((total - 10) & 255),
                               (unsigned char)((total - 10) >> 8)};
    fwrite(magic, 1, sizeof magic, file);
    fprintf(file, "%-*s\n", total - 11, text);
    return ferror(file) == 0;
}

static void write_strings(FILE *file, const fer_tensor *tensor) {
    uint64_t count = fer_tensor_element_count(tensor), width = 1;
    for (uint64_t i = 0; i < count; i++) {
        size_t length = 0;
        (void)fer_tensor_string(tensor, i, &length);
        width = length > width ? length : width;
    }
    (void)write_header(file, 'S', width, tensor);
    for (uint64_t i = 0; i < count; i++) {
        size_t length = 0;
        const char *text = fer_tensor_string(tensor, i, &length);
        if (text != NULL && length > 0) {
            fwrite(text, 1, length, file);
        }
        for (uint64_t rest = length; rest < width; rest++) {
            fputc(0, file);
        }
    }
}

/* Sub-byte dtypes: one element per byte, as ml_dtypes keeps them. */
static void write_unpacked(FILE *file, const fer_tensor *tensor, const unsigned char *data) {
    fer_dtype dtype = fer_tensor_dtype(tensor);
    uint32_t width = fer_dtype_bits(dtype), per_byte = 8 / width;
    (void)write_header(file, 'V', 1, tensor);
    for (uint64_t i = 0; i < fer_tensor_element_count(tensor); i++) {
        uint32_t bits =
            (uint32_t)data[i / per_byte] >> (i % per_byte) * width & ((1u << width) - 1);
        int is_signed = dtype == FER_I4 || dtype == FER_I2;
        fputc((int)(is_signed && bits >> (width - 1) ? (bits | ~0u << width) & 255 : bits), file);
    }
}

int npy_write(const char *path, const fer_tensor *tensor) {
    FILE *file = fopen(path, "wb");
    if (file == NULL) {
        return complain(EXIT_INVALID, "IO", "%s cannot be written", path);
    }
    fer_dtype dtype = fer_tensor_dtype(tensor);
    uint64_t bytes = fer_tensor_bytes(tensor);
    const unsigned char *data = fer_tensor_data(tensor);
    unsigned char *copy = NULL;
    fer_status status = FER_OK;
    if (dtype != FER_STRING && data == NULL && bytes > 0) {
        copy = malloc(bytes);
        status = copy != NULL ? fer_tensor_read(tensor, 0, copy, bytes) : FER_OUT_OF_MEMORY;
        data = copy;
    }
    if (status == FER_OK && dtype == FER_STRING) {
        write_strings(file, tensor);
    } else if (status == FER_OK && fer_dtype_bits(dtype) < 8) {
        write_unpacked(file, tensor, data);
    } else if (status == FER_OK) {
        npy_header head = {.kind = 'V', .width = fer_dtype_bits(dtype) / 8};
        for (size_t i = 0; i < sizeof numpy_dtypes / sizeof *numpy_dtypes; i++) {
            head.kind = numpy_dtypes[i].dtype == dtype ? numpy_dtypes[i].kind : head.kind;
        }
        (void)write_header(file, head.kind, head.width, tensor);
        if (bytes > 0) {
            fwrite(data, 1, bytes, file);
        }
    }
    free(copy);
    int bad = ferror(file);
    bad |= fclose(file) != 0;
    if (bad || status != FER_OK) {
        return complain(EXIT_INVALID, "IO", "%s cannot be written", path);
    }
    return EXIT_RIGHT;
}
