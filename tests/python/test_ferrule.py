# SPDX-License-Identifier: Apache-2.0
"""The Python package as a user sees it, against small models made with onnx."""
import gc
import pickle
import threading
import weakref

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import ferrule

F32, I64 = TensorProto.FLOAT, TensorProto.INT64


def info(name, shape, dtype=F32):
    return helper.make_tensor_value_info(name, dtype, shape)


def model_of(nodes, inputs, outputs, initializer=(), opset=17):
    graph = helper.make_graph(nodes, "test", inputs, outputs, initializer=list(initializer))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def linear():
    weight = numpy_helper.from_array(np.arange(12, dtype=np.float32).reshape(4, 3), "w")
    return model_of([helper.make_node("MatMul", ["x", "w"], ["m"], name="product"), helper.make_node("Relu", ["m"], ["y"], name="relu")],
                    [info("x", ["n", 4])], [info("y", ["n", 3])], [weight])


def loop_forever():
    body = helper.make_graph([helper.make_node("Add", ["s", "one"], ["t"]), helper.make_node("Identity", ["k"], ["l"])], "body",
                             [info("i", [], I64), info("k", [], TensorProto.BOOL), info("s", [64, 64])],
                             [info("l", [], TensorProto.BOOL), info("t", [64, 64])])
    one = numpy_helper.from_array(np.ones((64, 64), np.float32), "one")
    trips = numpy_helper.from_array(np.array(50_000_000, np.int64), "trips")
    return model_of([helper.make_node("Loop", ["trips", "", "x"], ["y"], body=body, name="forever")],
                    [info("x", [64, 64])], [info("y", [64, 64])], [one, trips])


def weight():
    return np.arange(12, dtype=np.float32).reshape(4, 3)


def test_load_from_proto_bytes_and_path(tmp_path):
    x = np.random.default_rng(0).standard_normal((2, 4), dtype=np.float32)
    path = tmp_path / "linear.onnx"
    onnx.save(linear(), path)
    for source in (linear(), linear().SerializeToString(), path, str(path)):
        (y,) = ferrule.load(source, device="ref")(x)
        np.testing.assert_allclose(y, np.maximum(x @ weight(), 0), rtol=1e-5)


def test_names_and_positions():
    model = ferrule.load(linear(), device="ref")
    assert [(i.name, i.dtype, i.shape) for i in model.inputs] == [("x", "f32", ("n", 4))]
    assert model.outputs[0].name == "y"
    x = np.ones((1, 4), np.float32)
    np.testing.assert_array_equal(model(x)[0], model(x=x)[0])
    np.testing.assert_array_equal(model.run({"x": x})[0], model.run([x])[0])
    with pytest.raises(TypeError, match="no input 'z'"):
        model(z=x)
    with pytest.raises(TypeError, match="missing inputs: x"):
        model()


def test_dynamic_shapes_and_lists():
    model = ferrule.load(linear(), device="ref")
    for n in (1, 5, 2, 5):
        assert model(np.zeros((n, 4), np.float32))[0].shape == (n, 3)
    assert model([[1, 0, 0, 0]])[0].tolist() == [[0.0, 1.0, 2.0]]


def test_output_outlives_the_model():
    model = ferrule.load(linear(), device="ref")
    (y,) = model(np.eye(4, dtype=np.float32))
    model.close()
    del model
    gc.collect()
    np.testing.assert_array_equal(y, weight())


def test_error_says_what_and_where():
    model = ferrule.load(linear(), device="ref")
    with pytest.raises(ferrule.Error) as caught:
        model(np.zeros((2, 5), np.float32))
    assert caught.value.status == "INVALID_INPUT"
    assert caught.value.code == 3
    assert "x" in str(caught.value)
    with pytest.raises(ferrule.Error) as caught:
        ferrule.load(b"not a model")
    assert caught.value.status == "INVALID_MODEL"
    with pytest.raises(ferrule.Error) as caught:
        ferrule.load("/nonexistent/model.onnx")
    assert caught.value.status == "IO"


def test_unknown_device():
    with pytest.raises(ferrule.Error) as caught:
        ferrule.load(linear(), device="nosuch")
    assert caught.value.status == "NO_DEVICE"


def test_placement():
    model = ferrule.load(linear(), device="ref")
    model(np.zeros((1, 4), np.float32))
    placement = model.placement
    assert {line.node for line in placement} >= {"product", "relu"}
    assert all(line.device in ("ref:0", "host", "folded") for line in placement)
    assert "ref:0" in str(placement)


def test_run_async():
    model = ferrule.load(linear(), device="ref")
    x = np.random.default_rng(1).standard_normal((3, 4), dtype=np.float32)
    with model.run_async(x=x) as event:
        (y,) = event.outputs()
        assert event.done
    np.testing.assert_allclose(y, np.maximum(x @ weight(), 0), rtol=1e-5)


def test_deadline_and_cancel():
    model = ferrule.load(loop_forever(), device="ref")
    x = np.zeros((64, 64), np.float32)
    for deadline in (50, -50, 1e-9):
        with pytest.raises(ferrule.Error) as caught:
            model.run([x], deadline_ms=deadline)
        assert caught.value.status == "DEADLINE"
    event = model.run_async(x)
    assert not event.wait(0.02) and not event.wait(0) and not event.wait(-1)
    event.cancel()
    with pytest.raises(ferrule.Error) as caught:
        event.wait()
    assert caught.value.status == "CANCELLED"


def test_a_closed_tensor_says_so():
    tensor = ferrule.Tensor.from_numpy(np.ones(3, np.float32))
    tensor.close()
    uses = (lambda: tensor.dtype, lambda: tensor.shape, lambda: tensor.device, tensor.numpy, lambda: np.from_dlpack(tensor),
            lambda: ferrule.ops.clip(np.ones(3, np.float32), tensor), lambda: ferrule.load(linear(), device="ref")(tensor))
    for use in uses:
        with pytest.raises(ValueError, match="closed"):
            use()
    assert "closed" in repr(tensor)


def test_sequences_and_strings():
    sequence = helper.make_tensor_sequence_value_info("s", F32, None)
    model = ferrule.load(model_of([helper.make_node("SequenceConstruct", ["a", "b"], ["s"])], [info("a", [2]), info("b", [3])],
                                  [sequence]), device="ref")
    a, b = np.ones(2, np.float32), np.zeros(3, np.float32)
    (items,) = model(a, b)
    assert [item.tolist() for item in items] == [[1, 1], [0, 0, 0]]
    model = ferrule.load(model_of([helper.make_node("Identity", ["t"], ["u"])], [info("t", [2], TensorProto.STRING)],
                                  [info("u", [2], TensorProto.STRING)]), device="ref")
    assert model(np.array(["a", "é"], dtype=object))[0].tolist() == ["a", "é"]


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?", "c8", "c16"])
def test_dtypes_round_trip(dtype):
    array = np.array([[0, 1], [1, 0]], dtype=dtype)
    tensor = ferrule.Tensor.from_numpy(array)
    assert tensor.shape == (2, 2)
    back = tensor.numpy()
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


def test_no_copy_where_memory_allows():
    array = np.arange(6, dtype=np.float32)
    tensor = ferrule.Tensor.from_numpy(array)
    array[0] = 42
    assert tensor.numpy()[0] == 42
    view = tensor.numpy()
    del tensor
    gc.collect()
    assert view[0] == 42


def test_dlpack_both_ways():
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    tensor = ferrule.Tensor.from_dlpack(array)
    np.testing.assert_array_equal(tensor.numpy(), array)
    strided = ferrule.Tensor.from_dlpack(array[:, ::2])
    np.testing.assert_array_equal(strided.numpy(), array[:, ::2])
    with pytest.raises(ferrule.Error):
        ferrule.Tensor.from_dlpack(array[:, ::2], zero_copy=True)
    back = np.from_dlpack(tensor)
    del tensor, array
    gc.collect()
    np.testing.assert_array_equal(back, np.arange(6, dtype=np.float32).reshape(2, 3))
    capsule = ferrule.Tensor.from_numpy(back.copy()).__dlpack__(max_version=(1, 0))
    del capsule  # never taken over: the tensor goes with it


class Old:
    """Speaks DLPack 0 only, as a producer; old_view() is such a consumer."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, *, stream=None):
        return self.array.__dlpack__(stream=stream)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


def old_view(tensor):
    return np.from_dlpack(Old(tensor))


def test_dlpack_0_both_ways():
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    tensor = ferrule.Tensor.from_dlpack(Old(x))
    assert tensor.numpy().ctypes.data == x.ctypes.data
    np.testing.assert_array_equal(ferrule.ops.neg(Old(x[:, ::2])), -x[:, ::2])
    view = old_view(ferrule.Tensor.from_numpy(x))
    assert view.ctypes.data == x.ctypes.data
    np.testing.assert_array_equal(old_view(ferrule.Tensor.from_dlpack(Old(x))), x)
    x.setflags(write=False)
    with pytest.raises(BufferError, match="read-only"):  # version 0 cannot say so
        old_view(ferrule.Tensor.from_numpy(x))
    with pytest.raises(BufferError, match="no DLPack capsule"):
        ferrule.Tensor.from_dlpack(type("Odd", (), {"__dlpack__": lambda self: 1})())


def test_dlpack_holds_what_it_shows():
    for consume in (np.from_dlpack, old_view):
        array = np.arange(4096.0)
        alive = weakref.ref(array)
        tensor = ferrule.Tensor.from_numpy(array)
        view, capsule = consume(tensor), tensor.__dlpack__(max_version=(1, 0))
        tensor.close()
        del tensor, array, capsule
        gc.collect()
        assert alive() is not None and view.sum() == 4096 * 4095 / 2
        del view
        gc.collect()
        assert alive() is None
        producer = np.arange(16.0)
        alive = weakref.ref(producer)
        tensor = ferrule.Tensor.from_dlpack(Old(producer) if consume is old_view else producer)
        del producer
        gc.collect()
        assert alive() is not None and tensor.numpy().sum() == 120
        del tensor
        gc.collect()
        assert alive() is None


def test_what_is_read_only_stays_so():
    x = np.ones((2, 3), np.float32)
    assert ferrule.Tensor.from_numpy(x).numpy().flags.writeable
    x.setflags(write=False)
    for tensor in (ferrule.Tensor.from_numpy(x), ferrule.Tensor.from_dlpack(x)):
        assert tensor.numpy().ctypes.data == x.ctypes.data
        assert not tensor.numpy().flags.writeable
        assert not np.from_dlpack(tensor).flags.writeable
        np.testing.assert_array_equal(ferrule.ops.neg(tensor), -x)


def test_errors_go_to_other_processes():
    with pytest.raises(ferrule.Error) as caught:
        ferrule.load(b"no model")
    copied = pickle.loads(pickle.dumps(caught.value))
    assert str(copied) == str(caught.value) and vars(copied) == vars(caught.value)


def test_negative_sizes_are_refused():
    for wrong in ({"threads": -1}, {"budgets": {"host": -1}}):
        with pytest.raises(ValueError, match="negative"):
            ferrule.Context(**wrong)


def test_eager_ops():
    x = np.array([-1.0, 2.0], np.float32)
    np.testing.assert_array_equal(ferrule.ops.relu(x), [0, 2])
    np.testing.assert_array_equal(ferrule.ops.transpose(np.eye(2, 3, dtype=np.float32), perm=[1, 0]), np.eye(3, 2))
    parts = ferrule.ops.split(np.arange(4, dtype=np.float32), np.array([1, 3], np.int64), axis=0, outputs=2)
    assert [part.tolist() for part in parts] == [[0], [1, 2, 3]]
    image = np.ones((1, 1, 4, 4), np.float32)
    kernel = np.ones((1, 1, 3, 3), np.float32)
    assert ferrule.ops.conv(image, kernel, pads=[1, 1, 1, 1])[0, 0, 1, 1] == 9
    with pytest.raises(AttributeError):
        ferrule.ops.no_such_op


@pytest.mark.parametrize("are_known", [True, False])
@pytest.mark.parametrize("scales", [[1, 1, 2, 2.5], [1, 1, 0.5, 0.6], [1, 1, 0.5, 2], [1, 1, 2.3, 0.7]])
def test_nearest_of_opset_10(scales, are_known):
    x = np.random.default_rng(0).standard_normal((1, 2, 4, 5)).astype(np.float32)
    scales = np.array(scales, np.float32)
    want = x
    for axis, scale in enumerate(scales):  # rounded up where it shrinks
        places = np.arange(int(np.floor(x.shape[axis] * scale))) / scale
        places = np.ceil(places) if scale < 1 else np.floor(places)
        want = want.take(np.minimum(places.astype(int), x.shape[axis] - 1), axis)
    inputs = [info("x", list("abcd"))] + ([] if are_known else [info("s", [4])])
    model = ferrule.load(model_of([helper.make_node("Resize", ["x", "s"], ["y"])], inputs, [info("y", None)],
                                  [numpy_helper.from_array(scales, "s")] if are_known else [], opset=10))
    np.testing.assert_array_equal(model(*([x] if are_known else [x, scales]))[0], want)


def test_batch_norm_by_place():
    rng = np.random.default_rng(0)
    x, scale, bias, mean, var = (rng.random((2, 3, 4) if i == 0 else (3, 4), np.float32) + np.float32(0.5) for i in range(5))
    node = helper.make_node("BatchNormalization", ["x", "s", "b", "m", "v"], ["y"], spatial=0, epsilon=0.25)
    weights = [numpy_helper.from_array(a, n) for a, n in zip((scale, bias, mean, var), "sbmv")]
    model = ferrule.load(model_of([node], [info("x", ["n", 3, 4])], [info("y", None)], weights, opset=7))
    np.testing.assert_allclose(model(x)[0], (x - mean) / np.sqrt(var + 0.25) * scale + bias, rtol=1e-5)


def test_eager_constants():
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(ferrule.ops.constant(value=x), x)
    np.testing.assert_array_equal(ferrule.ops.constant(value=ferrule.Tensor.from_numpy(x)), x)
    assert ferrule.ops.constant(value_strings=["a", "b"]).tolist() == ["a", "b"]
    assert ferrule.ops.constant(value_float=1.5) == 1.5
    with pytest.raises(ferrule.Error, match="no value"):
        ferrule.ops.constant()


def test_wide_ints_do_not_wrap():
    for wide in (1 << 63, [0, -(1 << 63) - 1]):
        with pytest.raises(OverflowError, match="axis"):
            ferrule.ops.softmax(np.ones(3, np.float32), axis=wide)


@pytest.mark.parametrize("step", [-1, -2, 1])
def test_slices_of_nothing_are_nothing(step):
    node = helper.make_node("Slice", ["x", "s", "e", "a", "t"], ["y"])
    ints = [numpy_helper.from_array(np.array([v]), n) for v, n in ((-1, "s"), (-100, "e"), (0, "a"), (step, "t"))]
    model = ferrule.load(model_of([node], [info("x", ["n", 3])], [info("y", None)], ints), device="ref")
    assert model(np.zeros((0, 3), np.float32))[0].shape == (0, 3)
    assert model(np.zeros((2, 3), np.float32))[0].shape == (0 if step > 0 else 2 if step == -1 else 1, 3)


def test_devices():
    found = {device.name: device for device in ferrule.devices()}
    assert found["ref:0"].backend == "ref" and found["ref:0"].state == "ready"


def test_modules_come_with_the_wheel():
    with ferrule.Context() as context:
        names = {device.backend for device in context.devices} | {line[0] for line in context.load_report}
    assert {"null", "trace"} <= names


def test_eight_threads_share_a_model():
    model = ferrule.load(linear(), device="ref", states=8)
    wrong = []

    def work(seed):
        x = np.random.default_rng(seed).standard_normal((2, 4), dtype=np.float32)
        for _ in range(50):
            if not np.allclose(model(x)[0], np.maximum(x @ weight(), 0), rtol=1e-4):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_close_twice_and_context_managers():
    with ferrule.load(linear(), device="ref") as model:
        assert model.stats["run_count"] == 0
        model(np.zeros((1, 4), np.float32))
        assert model.stats["run_count"] == 1
    model.close()
    with ferrule.Tensor.from_numpy(np.zeros(2)) as tensor:
        assert tensor.dtype == "f64"
    tensor.close()


def map_info(name, key, value, in_sequence=False):
    made = onnx.ValueInfoProto(name=name)
    kind = made.type.sequence_type.elem_type if in_sequence else made.type
    kind.map_type.key_type = key
    kind.map_type.value_type.tensor_type.elem_type = value
    return made


def ml_model(op, given, made, **attrs):
    model = model_of([helper.make_node(op, ["x"], ["y"], domain="ai.onnx.ml", **attrs)], [given], [made])
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    return ferrule.load(model, device="ref")


def test_maps_are_dicts():
    zipped = ml_model("ZipMap", info("x", ["n", 2]), map_info("y", TensorProto.STRING, F32, in_sequence=True),
                      classlabels_strings=["no", "yes"])
    assert zipped(np.array([[1, 2], [3, 4]], np.float32)) == [[{"no": 1, "yes": 2}, {"no": 3, "yes": 4}]]
    listed = ml_model("DictVectorizer", map_info("x", TensorProto.STRING, F32), info("y", [1, "n"]),
                      string_vocabulary=["a", "b", "c"])
    assert listed({"c": 2.0, "a": 1.0})[0].tolist() == [[1, 0, 2]]
    sparse = ml_model("CastMap", map_info("x", I64, F32), info("y", [1, "n"], I64), cast_to="TO_INT64", map_form="SPARSE", max_map=4)
    assert sparse({1: 5.0, 3: 7.0})[0].tolist() == [[0, 5, 0, 7]]


def gradient_model(nodes, xs, y, sizes, opset=18):
    inputs = [info(name, size, TensorProto.DOUBLE) for name, size in sizes.items()]
    nodes = nodes + [helper.make_node("Gradient", xs, ["g_" + x for x in xs], domain="ai.onnx.preview.training", xs=xs, y=y)]
    model = model_of(nodes, inputs, [info(y, None, TensorProto.DOUBLE)] + [info("g_" + x, None, TensorProto.DOUBLE) for x in xs], opset=opset)
    model.opset_import.append(helper.make_opsetid("ai.onnx.preview.training", 1))
    return ferrule.load(model, device="ref")


def node(op, inputs, output, **attrs):
    return helper.make_node(op, inputs, [output], **attrs)


GRADIENTS = {
    "elementwise": ([node("Mul", ["a", "b"], "m"), node("Tanh", ["m"], "t"), node("Exp", ["a"], "e"), node("Div", ["t", "e"], "q"),
                     node("Sub", ["q", "b"], "s"), node("Softmax", ["s"], "y")], {"a": [2, 3], "b": [3]}),
    "products": ([node("Gemm", ["a", "b", "c"], "g", alpha=0.5, beta=2.0, transA=1), node("Transpose", ["g"], "t", perm=[1, 0]),
                  node("MatMul", ["g", "t"], "y")], {"a": [4, 2], "b": [4, 3], "c": [1, 3]}),
    "gemm turned": ([node("Gemm", ["a", "b", "c"], "y", transA=1, transB=1)], {"a": [4, 2], "b": [3, 4], "c": [3]}),
    "reductions": ([node("ReduceMean", ["a"], "m", keepdims=1), node("Sub", ["a", "m"], "d"), node("Mul", ["d", "d"], "s"),
                    node("ReduceSum", ["s"], "r", keepdims=0), node("Sqrt", ["r"], "y")], {"a": [3, 4]}),
    "moves": ([node("Concat", ["a", "b"], "j", axis=1), node("Flatten", ["j"], "f", axis=0), node("Sigmoid", ["f"], "s"),
               node("Mul", ["s", "s"], "y")], {"a": [2, 3], "b": [2, 2]}),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradient_is_the_difference_quotient(name):
    nodes, sizes = GRADIENTS[name]
    model = gradient_model(nodes, list(sizes), "y", sizes)
    rng = np.random.default_rng(3)
    feeds = {key: rng.standard_normal(size) for key, size in sizes.items()}
    _, *found = model(**feeds)
    for key, gradient in zip(sizes, found):
        assert gradient.shape == tuple(sizes[key])
        for index in np.ndindex(*sizes[key]):
            sides = []
            for step in (1e-6, -1e-6):
                moved = {other: value.copy() for other, value in feeds.items()}
                moved[key][index] += step
                sides.append(model(**moved)[0].sum())
            assert gradient[index] == pytest.approx((sides[0] - sides[1]) / 2e-6, rel=1e-5, abs=1e-7)


def test_gradient_refuses_by_name():
    with pytest.raises(ferrule.Error, match="Elu"):
        gradient_model([node("Elu", ["a"], "y")], ["a"], "y", {"a": [3]})
