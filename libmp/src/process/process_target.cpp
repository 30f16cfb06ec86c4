// SPDX-License-Identifier: BSL-1.0
// The target of a process, as the child reads it.
#include "mp/detail/process_target.hpp"

#include "mp/errors.hpp"

namespace mp::detail {
namespace {

// The target of a child that got it as a message: the call stays encoded until it runs.
class DecodedTarget final : public Target {
public:
    explicit DecodedTarget(ByteReader& in) : in_(in) {}

    void run() override {
        ByteWriter out;
        CallFrame frame{in_, out, CallPhase::decode};
        run_call(frame);
    }

    void encode(ByteWriter&) const override {
        throw StateError("the target of a running process cannot be handed on");
    }

private:
    ByteReader& in_;
};

}  // namespace

std::unique_ptr<Target> decode_target(ByteReader& in) {
    return std::make_unique<DecodedTarget>(in);
}

[[noreturn]] void throw_cannot_travel(const std::string& what) {
    throw SpawnError(
        SpawnStage::arguments,
        what +
            " cannot travel to another program image. Under spawn and forkserver a "
            "target is a function, a captureless lambda or an object that can be "
            "serialised, and its arguments can be serialised; a subclass with its own "
            "run() derives from mp::ProcessOf. Under fork everything goes"
    );
}

}  // namespace mp::detail
