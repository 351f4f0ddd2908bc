/* SPDX-License-Identifier: Apache-2.0
 *
 * Tensors: raw and typed contents, packing, external data and what it must not reach, sparse
 * tensors, and the values of ONNX's test layout.
 */
#include "model_bytes.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* Serialised TensorProto of dtype and dim without contents. */
static bytes tensor_of(int dtype, int64_t dim) { return a_tensor("t", dtype, dim, NULL, 0); }

static fer_status read_value(import_test *t, bytes *message, int32_t kind, fer_value **out_value) {
    fer_status status =
        fer_value_from_onnx(t->context, message->data, message->length, kind, out_value);
    free(message->data);
    memset(message, 0, sizeof(*message));
    return status;
}

static fer_tensor *read_tensor(import_test *t, bytes *message) {
    fer_value *value = NULL;
    assert_int_equal(read_value(t, message, FER_KIND_TENSOR, &value), FER_OK);
    fer_tensor *tensor = fer_tensor_retain(fer_value_tensor(value));
    fer_value_release(value);
    return tensor;
}

static void typed_fields_are_converted(void **state) {
    import_test *t = *state;
    const uint8_t packed[] = {0x21, 0x03};
    bytes message = tensor_of(FER_F16, 2); /* unpacked: one field an entry */
    put_int(&message, 5, 0x3c00);
    put_int(&message, 5, 0xc000);
    fer_tensor *tensor = read_tensor(t, &message);
    assert_memory_equal(fer_tensor_data(tensor), "\x00\x3c\x00\xc0", 4);
    fer_tensor_release(tensor);
    message = tensor_of(FER_I4, 3); /* an entry is a byte of two elements */
    put_data(&message, 5, packed, sizeof(packed));
    tensor = read_tensor(t, &message);
    assert_memory_equal(fer_tensor_data(tensor), packed, 2);
    fer_tensor_release(tensor);
    message = tensor_of(FER_I8, 2); /* negative numbers are ten bytes long on the wire */
    put_int(&message, 5, -1);
    put_int(&message, 5, 127);
    tensor = read_tensor(t, &message);
    assert_memory_equal(fer_tensor_data(tensor), "\xff\x7f", 2);
    fer_tensor_release(tensor);
    message = tensor_of(FER_STRING, 2);
    put_text(&message, 6, "one");
    put_text(&message, 6, "");
    tensor = read_tensor(t, &message);
    size_t length = 9;
    assert_memory_equal(fer_tensor_string(tensor, 0, &length), "one", 3);
    assert_int_equal(length, 3);
    fer_tensor_release(tensor);
}

static void refused_value(import_test *t, bytes *message, fer_status status, const char *word) {
    fer_value *value = NULL;
    assert_int_equal(read_value(t, message, FER_KIND_TENSOR, &value), status);
    assert_null(value);
    if (strstr(fer_error_last()->message, word) == NULL) {
        fail_msg("'%s' expected in: %s", word, fer_error_last()->message);
    }
}

static void contents_must_fit_the_shape(void **state) {
    import_test *t = *state;
    const float data[] = {1, 2, 3};
    bytes message = a_tensor("t", FER_F32, 4, data, sizeof(data));
    refused_value(t, &message, FER_INVALID_INPUT, "16 bytes");
    message = tensor_of(FER_F32, 2);
    put_data(&message, 4, data, sizeof(data));
    refused_value(t, &message, FER_INVALID_INPUT, "2 entries");
    message = tensor_of(FER_I64, 1); /* in a field of another dtype */
    put_int(&message, 5, 1);
    refused_value(t, &message, FER_INVALID_INPUT, "1 entries");
    message = tensor_of(FER_F32, -2);
    refused_value(t, &message, FER_INVALID_INPUT, "'t'");
    message = tensor_of(77, 1);
    refused_value(t, &message, FER_INVALID_INPUT, "77");
    message = tensor_of(FER_F32, INT64_MAX);
    refused_value(t, &message, FER_LIMIT, "");
    bytes ranks = {0};
    for (int d = 0; d < 20; d++) {
        put_int(&ranks, 1, 1);
    }
    put_int(&ranks, 2, FER_F32);
    refused_value(t, &ranks, FER_LIMIT, "rank 20");
}

static void sequences_and_optionals_nest(void **state) {
    import_test *t = *state;
    const int64_t data[] = {7};
    bytes sequence = {0}, optional = {0};
    for (int i = 0; i < 3; i++) {
        bytes item = a_tensor("", FER_I64, 1, data, sizeof(data));
        put_message(&sequence, 3, &item);
    }
    put_message(&optional, 5, &sequence);
    fer_value *value = NULL;
    assert_int_equal(read_value(t, &optional, FER_KIND_OPTIONAL, &value), FER_OK);
    assert_int_equal(fer_value_count(value), 1);
    assert_int_equal(fer_value_count(fer_value_item(value, 0)), 3);
    assert_int_equal(fer_value_kind(fer_value_item(fer_value_item(value, 0), 2)), FER_KIND_TENSOR);
    fer_value_release(value);
    for (int depth = 0; depth < 300; depth++) {
        bytes around = {0};
        put_message(&around, 5, &sequence);
        sequence = around;
    }
    assert_int_equal(read_value(t, &sequence, FER_KIND_SEQUENCE, &value), FER_LIMIT);
}

static bytes sparse_model(int64_t index) {
    const float values[] = {5, 6};
    const int64_t indices[] = {1, index};
    bytes graph = {0}, sparse = {0};
    bytes part = a_tensor("w", FER_F32, 2, values, sizeof(values));
    put_message(&sparse, 1, &part);
    part = a_tensor("", FER_I64, 2, indices, sizeof(indices));
    put_message(&sparse, 2, &part);
    put_int(&sparse, 3, 2);
    put_int(&sparse, 3, 3);
    put_message(&graph, 15, &sparse);
    put_output(&graph, "w");
    return a_model(&graph, 20);
}

static void sparse_tensors_become_dense(void **state) {
    import_test *t = *state;
    const float dense[] = {0, 5, 0, 0, 0, 6};
    bytes model = sparse_model(5);
    assert_imports(t, &model);
    const fer_tensor *w = t->graph->values[t->graph->outputs[0]].constant;
    assert_int_equal(fer_tensor_rank(w), 2);
    assert_memory_equal(fer_tensor_data(w), dense, sizeof(dense));
    model = sparse_model(6);
    assert_refused(t, &model, FER_INVALID_MODEL, "sparse", "index");
    model = sparse_model(-1);
    assert_refused(t, &model, FER_INVALID_MODEL, "sparse", "index");
}

/* ---- external data ---- */

typedef struct folder {
    char path[64];
    char model[96];
} folder;

static void write_file(const char *base, const char *name, const void *data, size_t length) {
    char path[160];
    snprintf(path, sizeof(path), "%s/%s", base, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

static void make_folder(folder *f) {
    char path[160];
    const float data[] = {0, 1, 2, 3};
    strcpy(f->path, "/tmp/ferrule-test-XXXXXX");
    assert_non_null(mkdtemp(f->path));
    snprintf(f->model, sizeof(f->model), "%s/model.onnx", f->path);
    snprintf(path, sizeof(path), "%s/sub", f->path);
    assert_int_equal(mkdir(path, 0700), 0);
    write_file(f->path, "sub/w.bin", data, sizeof(data));
    snprintf(path, sizeof(path), "%s/link", f->path);
    assert_int_equal(symlink("sub/w.bin", path), 0);
    snprintf(path, sizeof(path), "%s/linked", f->path);
    assert_int_equal(symlink("sub", path), 0);
}

static void remove_folder(const folder *f) {
    const char *const names[] = {"model.onnx", "link", "linked", "sub/w.bin"};
    char path[160];
    for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
        snprintf(path, sizeof(path), "%s/%s", f->path, names[n]);
        (void)unlink(path);
    }
    snprintf(path, sizeof(path), "%s/sub", f->path);
    (void)rmdir(path);
    (void)rmdir(f->path);
}

static void put_entry(bytes *tensor, const char *key, const char *value) {
    bytes entry = {0};
    put_text(&entry, 1, key);
    put_text(&entry, 2, value);
    put_message(tensor, 13, &entry);
}

static bytes external_model(const char *location, const char *offset, const char *length) {
    bytes graph = {0};
    bytes tensor = tensor_of(FER_F32, 2);
    put_entry(&tensor, "location", location);
    put_entry(&tensor, "offset", offset);
    if (length != NULL) {
        put_entry(&tensor, "length", length);
    }
    put_int(&tensor, 14, 1);
    put_message(&graph, 5, &tensor);
    put_output(&graph, "t");
    return a_model(&graph, 20);
}

static fer_status import_at(import_test *t, const folder *f, bytes *model, uint32_t maps) {
    const fer_import_options options = {.map_file = maps};
    write_file(f->path, "model.onnx", model->data, model->length);
    free(model->data);
    fer_graph_release(t->graph);
    t->graph = NULL;
    return fer_graph_import_file(t->context, f->model, &options, &t->graph);
}

static void external_data_is_read_in_place(void **state) {
    import_test *t = *state;
    const float expected[] = {1, 2};
    folder f;
    make_folder(&f);
    for (uint32_t maps = 0; maps < 2; maps++) {
        bytes model = external_model("sub/w.bin", "4", maps ? "8" : NULL);
        assert_int_equal(import_at(t, &f, &model, maps), FER_OK);
        const fer_tensor *w = t->graph->values[t->graph->outputs[0]].constant;
        assert_memory_equal(fer_tensor_data(w), expected, sizeof(expected));
    }
    bytes model = external_model("./sub/w.bin", "0", NULL);
    assert_int_equal(import_at(t, &f, &model, 0), FER_OK);
    remove_folder(&f);
}

static void external_data_stays_below_the_folder(void **state) {
    import_test *t = *state;
    static const struct {
        const char *location, *offset, *length, *word;
    } cases[] = {
        {"/etc/passwd",  "0",                   NULL, "absolute"  },
        {"../sub/w.bin", "0",                   NULL, "'..'"      },
        {"sub/../../x",  "0",                   NULL, "'..'"      },
        {"link",         "0",                   NULL, "link"      },
        {"linked/w.bin", "0",                   NULL, "below"     },
        {"sub",          "0",                   NULL, "regular"   },
        {".",            "0",                   NULL, "regular"   },
        {"sub//w.bin",   "0",                   NULL, "empty"     },
        {"nothing.bin",  "0",                   NULL, "no such"   },
        {"",             "0",                   NULL, "empty"     },
        {"sub/w.bin",    "12",                  NULL, "beyond"    },
        {"sub/w.bin",    "9223372036854775807", NULL, "beyond"    },
        {"sub/w.bin",    "-4",                  NULL, "not a numb"},
        {"sub/w.bin",    "0",                   "12", "12"        },
    };
    folder f;
    make_folder(&f);
    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        bytes model = external_model(cases[c].location, cases[c].offset, cases[c].length);
        assert_int_equal(import_at(t, &f, &model, 0), FER_INVALID_MODEL);
        if (strstr(fer_error_last()->message, cases[c].word) == NULL) {
            fail_msg("'%s' expected in: %s", cases[c].word, fer_error_last()->message);
        }
    }
    bytes model = external_model("sub/w.bin", "0", NULL); /* from memory there is no folder */
    assert_refused(t, &model, FER_INVALID_MODEL, "base_folder", "'t'");
    remove_folder(&f);
}

static void files_must_be_files(void **state) {
    import_test *t = *state;
    assert_int_equal(fer_graph_import_file(t->context, "/nonexistent/x", NULL, &t->graph), FER_IO);
    assert_int_equal(fer_graph_import_file(t->context, "/tmp", NULL, &t->graph), FER_IO);
    assert_int_equal(fer_graph_import_file(t->context, "/dev/zero", NULL, &t->graph), FER_IO);
}

/* ---- borrowed memory ---- */

static void count_release(void *self, void *memory) {
    (void)memory;
    ++*(int *)self;
}

static void release_fires_once_also_on_failure(void **state) {
    import_test *t = *state;
    int released = 0;
    bytes model = sparse_model(5);
    assert_int_equal(
        fer_graph_import_memory(
            t->context, model.data, model.length, NULL, count_release, &released, &t->graph),
        FER_OK);
    assert_int_equal(released, 0);
    fer_graph_release(t->graph);
    t->graph = NULL;
    assert_int_equal(released, 1);
    assert_int_equal(fer_graph_import_memory(
                         t->context, model.data, 9, NULL, count_release, &released, &t->graph),
                     FER_INVALID_MODEL);
    assert_int_equal(released, 2);
    assert_int_equal(
        fer_graph_import_memory(NULL, model.data, 9, NULL, count_release, &released, &t->graph),
        FER_INVALID_ARGUMENT);
    assert_int_equal(released, 3);
    free(model.data);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, import_set_up, import_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(typed_fields_are_converted),
        TEST(contents_must_fit_the_shape),
        TEST(sequences_and_optionals_nest),
        TEST(sparse_tensors_become_dense),
        TEST(external_data_is_read_in_place),
        TEST(external_data_stays_below_the_folder),
        TEST(files_must_be_files),
        TEST(release_fires_once_also_on_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
