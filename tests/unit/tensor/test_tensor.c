/* SPDX-License-Identifier: Apache-2.0
 *
 * Tensors, values and DLPack: shapes refused, releases that fire once, memory given back.
 */
#include "base/error.h"
#include "tensor/tensor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static feri_env *env;
static fer_context *context;

static int set_up(void **state) {
    (void)state;
    fer_limits limits = {.max_tensor_bytes = 1 << 20, .max_nesting = 3};
    fer_context_options options = {.limits = &limits};
    int failed = feri_env_create(&options, &env) != FER_OK;
    context = (fer_context *)(void *)env;
    return failed;
}

static int tear_down(void **state) {
    (void)state;
    int leaked = env->now_bytes != 0 || env->refs != 1;
    feri_env_release(env);
    return leaked;
}

static void count_release(void *self, void *memory) {
    (void)memory;
    ++*(int *)self;
}

static void shapes(void **state) {
    (void)state;
    fer_tensor *tensor = NULL;
    const int64_t dims[17] = {2, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    assert_int_equal(fer_tensor_create(context, FER_F32, 2, dims, &tensor), FER_OK);
    assert_int_equal(fer_tensor_bytes(tensor), 24);
    assert_int_equal(fer_tensor_element_count(tensor), 6);
    assert_int_equal((uintptr_t)fer_tensor_data(tensor) % 64, 0);
    assert_null(fer_tensor_device(tensor));
    fer_tensor *view = NULL;
    assert_int_equal(fer_tensor_view(tensor, 1, (int64_t[]){6}, &view), FER_OK);
    assert_ptr_equal(fer_tensor_data(view), fer_tensor_data(tensor));
    fer_tensor *bad = NULL;
    assert_int_equal(fer_tensor_view(tensor, 1, (int64_t[]){5}, &bad), FER_INVALID_ARGUMENT);
    fer_tensor_release(tensor);
    assert_int_equal(fer_tensor_write(view, 20, (float[]){4}, 4), FER_OK);
    assert_int_equal(fer_tensor_write(view, 21, (float[]){4}, 4), FER_INVALID_ARGUMENT);
    assert_int_equal(fer_tensor_read(view, UINT64_MAX, (float[]){4}, 4), FER_INVALID_ARGUMENT);
    void *data = NULL;
    assert_int_equal(fer_tensor_map(view, &data), FER_OK);
    assert_true(((float *)data)[5] == 4);
    assert_int_equal(fer_tensor_unmap(view), FER_OK);
    fer_tensor_release(view);

    assert_int_equal(fer_tensor_create(context, FER_F32, 17, dims, &bad), FER_LIMIT);
    assert_int_equal(fer_tensor_create(context, FER_F32, 1, (int64_t[]){-1}, &bad),
                     FER_INVALID_ARGUMENT);
    assert_int_equal(fer_tensor_create(context, 27, 0, NULL, &bad), FER_INVALID_ARGUMENT);
    assert_int_equal(
        fer_tensor_create(context, FER_F32, 2, (int64_t[]){INT64_MAX, INT64_MAX}, &bad), FER_LIMIT);
    assert_int_equal(fer_tensor_create(context, FER_STRING, 1, (int64_t[]){INT64_MAX}, &bad),
                     FER_LIMIT);
    assert_int_equal(fer_tensor_create(context, FER_F32, 1, (int64_t[]){262145}, &bad), FER_LIMIT);
    assert_null(bad);
    assert_int_equal(fer_tensor_create(context, FER_F32, 2, (int64_t[]){0, INT64_MAX}, &tensor),
                     FER_OK);
    assert_int_equal(fer_tensor_bytes(tensor), 0);
    assert_non_null(fer_tensor_data(tensor));
    fer_tensor_release(tensor);
    assert_int_equal(fer_tensor_create(context, FER_I4, 0, NULL, &tensor), FER_OK);
    assert_int_equal(fer_tensor_bytes(tensor), 1);
    assert_int_equal(fer_tensor_view(tensor, 0, NULL, &bad), FER_INVALID_ARGUMENT);
    fer_tensor_release(tensor);
}

static void imports(void **state) {
    (void)state;
    float memory[4] = {1, 2, 3, 4};
    int fired = 0;
    fer_tensor *tensor = NULL;
    const int64_t four = 4;
    assert_int_equal(
        fer_tensor_import(
            context, FER_F32, 1, &four, memory, FER_IMPORT_COPY, count_release, &fired, &tensor),
        FER_OK);
    assert_int_equal(fired, 1);
    assert_memory_equal(fer_tensor_data(tensor), memory, sizeof memory);
    fer_tensor *borrowed = NULL;
    assert_int_equal(fer_tensor_import(context,
                                       FER_F32,
                                       1,
                                       &four,
                                       memory,
                                       FER_IMPORT_BORROW,
                                       count_release,
                                       &fired,
                                       &borrowed),
                     FER_OK);
    assert_int_equal(fired, 1);
    assert_int_equal(fer_tensor_copy(tensor, borrowed), FER_INVALID_ARGUMENT);
    memory[0] = 9;
    assert_int_equal(fer_tensor_copy(borrowed, tensor), FER_OK);
    assert_true(*(float *)fer_tensor_data(tensor) == 9);
    fer_tensor_release(borrowed);
    assert_int_equal(fired, 2);
    fer_tensor *bad = NULL;
    assert_int_equal(
        fer_tensor_import(
            context, FER_F32, 1, &four, NULL, FER_IMPORT_BORROW, count_release, &fired, &bad),
        FER_INVALID_ARGUMENT);
    assert_int_equal(
        fer_tensor_import(context, FER_F32, 1, &four, memory, 7, count_release, &fired, &bad),
        FER_INVALID_ARGUMENT);
    assert_int_equal(
        fer_tensor_import(NULL, FER_F32, 1, &four, memory, 0, count_release, &fired, &bad),
        FER_INVALID_ARGUMENT);
    assert_int_equal(fired, 5);
    fer_tensor *other = NULL;
    assert_int_equal(fer_tensor_create(context, FER_I32, 1, &four, &other), FER_OK);
    assert_int_equal(fer_tensor_copy(tensor, other), FER_INVALID_ARGUMENT);
    fer_tensor_release(other);
    fer_tensor_release(tensor);
}

static void strings(void **state) {
    (void)state;
    const char *texts[] = {"one", "", "three"};
    const int64_t three = 3;
    fer_tensor *tensor = NULL;
    assert_int_equal(fer_tensor_create_strings(context, 1, &three, texts, NULL, &tensor), FER_OK);
    size_t length = 0;
    assert_memory_equal(fer_tensor_string(tensor, 2, &length), "three", 5);
    assert_int_equal(length, 5);
    assert_null(fer_tensor_string(tensor, 3, &length));
    assert_null(fer_tensor_data(tensor));
    fer_tensor *empty = NULL;
    assert_int_equal(fer_tensor_create(context, FER_STRING, 1, &three, &empty), FER_OK);
    assert_non_null(fer_tensor_string(empty, 2, &length));
    assert_int_equal(length, 0);
    assert_int_equal(fer_tensor_copy(tensor, empty), FER_OK);
    fer_tensor_release(tensor);
    assert_memory_equal(fer_tensor_string(empty, 0, &length), "one", 3);
    fer_tensor_release(empty);
}

static void values(void **state) {
    (void)state;
    fer_tensor *tensor = NULL;
    fer_value *items[5] = {NULL};
    assert_int_equal(fer_tensor_create(context, FER_F32, 0, NULL, &tensor), FER_OK);
    assert_int_equal(fer_value_from_tensor(tensor, &items[0]), FER_OK);
    fer_tensor_release(tensor);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fer_value_sequence(context, &items[i], 1, &items[i + 1]), FER_OK);
    }
    assert_int_equal(fer_value_optional(context, items[3], &items[4]), FER_LIMIT);
    assert_int_equal(fer_value_optional(context, NULL, &items[4]), FER_OK);
    assert_int_equal(fer_value_count(items[4]), 0);
    assert_null(fer_value_item(items[4], 0));
    assert_int_equal(fer_value_kind(items[1]), FER_KIND_SEQUENCE);
    assert_ptr_equal(fer_value_item(items[1], 0), items[0]);
    assert_ptr_equal(fer_value_tensor(items[0]), tensor);
    assert_int_equal(fer_value_count(items[0]), 1);
    assert_int_equal(fer_value_sequence(context, (fer_value *[]){NULL}, 1, &items[4]),
                     FER_INVALID_ARGUMENT);
    for (int i = 0; i < 5; i++) {
        fer_value_release(items[i]);
    }
}

/* The layout DLPack's own header gives. */
typedef struct DLManagedTensorVersioned {
    uint32_t major, minor;
    void *manager;
    void (*deleter)(struct DLManagedTensorVersioned *self);
    uint64_t flags;
    void *data;
    int32_t device_type, device_id;
    int32_t ndim;
    uint8_t code, bits;
    uint16_t lanes;
    int64_t *shape;
    int64_t *strides;
    uint64_t byte_offset;
} dl;

static void count_deletion(dl *self) { ++*(int *)self->manager; }

static void dlpack(void **state) {
    (void)state;
    float memory[6] = {0, 1, 2, 3, 4, 5};
    int64_t shape[2] = {2, 3};
    int64_t strides[2] = {1, 2};
    int deleted = 0;
    dl managed = {1, 0, &deleted, count_deletion, 0, memory, 1, 0, 2, 2, 32, 1, shape, NULL, 0};
    fer_tensor *tensor = NULL;
    assert_int_equal(fer_tensor_from_dlpack(context, &managed, 1, 0, &tensor), FER_OK);
    assert_ptr_equal(fer_tensor_data(tensor), memory);
    dl *exported = NULL;
    assert_int_equal(fer_tensor_to_dlpack(tensor, 0, &exported), FER_OK);
    fer_tensor_release(tensor);
    assert_int_equal(deleted, 0);
    assert_ptr_equal(exported->data, memory);
    assert_int_equal(exported->strides[0], 3);
    assert_int_equal(exported->bits, 32);
    exported->deleter(exported);
    assert_int_equal(deleted, 1);

    managed.strides = strides;
    assert_int_equal(fer_tensor_from_dlpack(context, &managed, 1, 0, &tensor), FER_UNSUPPORTED);
    assert_int_equal(deleted, 2);
    assert_int_equal(fer_tensor_from_dlpack(context, &managed, 0, 0, &tensor), FER_OK);
    assert_int_equal(deleted, 3);
    const float transposed[6] = {0, 2, 4, 1, 3, 5};
    assert_memory_equal(fer_tensor_data(tensor), transposed, sizeof transposed);
    fer_tensor_release(tensor);
    strides[0] = -3; /* rows backwards */
    strides[1] = 1;
    managed.byte_offset = 12;
    assert_int_equal(fer_tensor_from_dlpack(context, &managed, 0, 0, &tensor), FER_OK);
    const float flipped[6] = {3, 4, 5, 0, 1, 2};
    assert_memory_equal(fer_tensor_data(tensor), flipped, sizeof flipped);
    fer_tensor_release(tensor);
    assert_int_equal(deleted, 4);
    managed.major = 2;
    assert_int_equal(fer_tensor_from_dlpack(context, &managed, 0, 0, &tensor), FER_VERSION);
    managed.major = 1;
    managed.device_type = 2;
    assert_int_equal(fer_tensor_from_dlpack(context, &managed, 0, 0, &tensor), FER_UNSUPPORTED);
    assert_int_equal(deleted, 6);
}

/* A tensor goes back to the context it came from, whatever was copied onto it. */
static void strings_of_another_context(void **state) {
    (void)state;
    feri_env *other = NULL;
    assert_int_equal(feri_env_create(NULL, &other), FER_OK);
    const char *texts[] = {"one", "", "three"};
    const int64_t three = 3;
    fer_tensor *source = NULL, *copy = NULL;
    assert_int_equal(
        fer_tensor_create_strings((fer_context *)(void *)other, 1, &three, texts, NULL, &source),
        FER_OK);
    assert_int_equal(feri_tensor_clone(env, source, &copy), FER_OK);
    fer_tensor_release(source);
    assert_int_equal(other->now_bytes, 0);
    assert_int_equal(other->refs, 1);
    feri_env_release(other);
    size_t length = 0;
    assert_memory_equal(fer_tensor_string(copy, 2, &length), "three", 5);
    assert_int_equal(length, 5);
    fer_tensor_release(copy);
    assert_int_equal(env->now_bytes, 0);
}

/* Who asks nothing hears of nothing. */
static void none(void **state) {
    (void)state;
    assert_int_equal(fer_tensor_dtype(NULL), FER_DTYPE_NONE);
    assert_int_equal(fer_tensor_rank(NULL), 0);
    assert_null(fer_tensor_dims(NULL));
    assert_int_equal(fer_tensor_element_count(NULL), 0);
    assert_int_equal(fer_tensor_bytes(NULL), 0);
    assert_null(fer_tensor_data(NULL));
    assert_null(fer_tensor_device(NULL));
    assert_null(fer_tensor_string(NULL, 0, NULL));
    assert_int_equal(fer_value_kind(NULL), 0);
    assert_int_equal(fer_value_count(NULL), 0);
    assert_null(fer_value_item(NULL, 0));
    assert_null(fer_value_tensor(NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(shapes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(imports, set_up, tear_down),
        cmocka_unit_test_setup_teardown(strings, set_up, tear_down),
        cmocka_unit_test_setup_teardown(strings_of_another_context, set_up, tear_down),
        cmocka_unit_test(none),
        cmocka_unit_test_setup_teardown(values, set_up, tear_down),
        cmocka_unit_test_setup_teardown(dlpack, set_up, tear_down)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
