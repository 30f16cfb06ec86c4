// SPDX-License-Identifier: BSL-1.0
// The beginning of a child, until it runs what it is for.
#include "mp/process.hpp"

#include "process/preparation.hpp"
#include "process/process_body.hpp"
#include "process/process_state.hpp"
#include "util/parent_watch.hpp"

#include <cstdlib>

namespace mp {
namespace detail {
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

Self self_from(const Preparation& told, std::shared_ptr<ProcessState> state) {
    state->identity = told.identity;
    state->authkey = told.authkey;
    state->daemon = told.daemon;
    state->set_name(told.name);
    Self next;
    next.state = std::move(state);
    next.parent.emplace(told.parent_pid, told.parent_name);
    return next;
}

}  // namespace

void settle_in_fork(
    const Preparation& told,
    BaseProcess& object,
    const std::shared_ptr<ProcessState>& state
) {
    Self next = self_from(told, state);
    next.object = &object;
    become(std::move(next));
    if (told.die_with_parent) {
        die_with_parent();
    }
}

int run_child_process(
    Preparation&& preparation, const std::function<std::unique_ptr<BaseProcess>()>& make
) {
    become(self_from(preparation, std::make_shared<ProcessState>()));
    return run_process_body(preparation.name, [&] {
        // Never destroyed before exit: current_process() is this object until the end.
        BaseProcess* const object = make().release();
        object->state_ = self().state;
        self().object = object;
        object->run();
    });
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

}  // namespace detail

Process::Process(std::unique_ptr<detail::Target> target) : target_(std::move(target)) {}

detail::ChildBody Process::child_body() const {
    return &Process::body_of_child;
}

void Process::encode(detail::ByteWriter& out) const {
    out.put_value(static_cast<std::uint8_t>(target_ != nullptr));
    if (target_) {
        target_->encode(out);
    }
}

int Process::body_of_child(detail::Preparation&& preparation, detail::ByteReader& in) {
    return detail::run_child_process(std::move(preparation), [&] {
        std::unique_ptr<detail::Target> target;
        if (in.get_value<std::uint8_t>() != 0) {
            target = std::make_unique<detail::DecodedTarget>(in);
        }
        return std::unique_ptr<BaseProcess>(new Process(std::move(target)));
    });
}

}  // namespace mp
