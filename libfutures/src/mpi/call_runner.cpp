// SPDX-License-Identifier: BSL-1.0
#include "mpi/call_runner.hpp"

#include "mp/detail/carried.hpp"
#include "mp/errors.hpp"

#include "process_pool/call_outcome.hpp"
#include "process_pool/call_trailer.hpp"

#include <sched.h>

#include <new>
#include <optional>
#include <string_view>

namespace futures::detail {

using mp::detail::ByteReader;
using mp::detail::ByteWriter;
using mp::detail::CallFrame;

namespace {

/// What this_task() tells of it. Nobody can stop it.
class RankTask final : public TaskContext {
public:
    RankTask(
        std::size_t worker,
        std::uint32_t attempt,
        std::string_view name,
        std::span<const std::byte> call
    ) noexcept
        : worker_(worker), attempt_(attempt), name_(name), call_(call) {}

    bool stop_requested() const noexcept override { return false; }

    std::stop_token stop_token() override { return {}; }

    std::string name() const override {
        return name_.empty()
                   ? mp::detail::call_name(call_, mp::detail::CallOrigin::peer)
                   : std::string(name_);
    }

    std::uint32_t attempt() const noexcept override { return attempt_; }

    mp::Deadline deadline() const noexcept override {
        return mp::Deadline(mp::forever);
    }

    std::size_t worker_index() const noexcept override { return worker_; }

    PoolLink* pool_link() override {
        throw mp::StateError(
            "this_pool() is not for a task that a rank of an MPI job runs itself: rank "
            "0 submits; with .isolation = futures::Isolation::process it is the pool "
            "of "
            "the rank"
        );
    }

private:
    const std::size_t worker_;
    const std::uint32_t attempt_;
    const std::string_view name_;
    const std::span<const std::byte> call_;
};

}  // namespace

FrameKind CallRunner::run(
    const MessageHead& head, std::span<const std::byte> message, ByteWriter& out
) noexcept {
    std::span<const std::byte> call = message;
    std::string_view name;
    if ((head.flags & MessageHead::has_trailer) != 0) {
        if (const auto trailed = without_trailer(message)) {
            call = trailed->call;
            name = trailed->name;
        }
    }
    ByteReader in(call);
    CallFrame frame{in, out};
    RankTask task(worker_, head.attempt, name, call);
    slot_.task = &task;
    FrameKind kind = FrameKind::value;
    try {
        // Nothing that processes share travels to another machine.
        const mp::detail::Carried nothing;
        const mp::detail::ArrivedScope scope(nothing);
        mp::detail::run_call(frame);
    } catch (...) {
        kind = FrameKind::exception;
        for (;;) {
            try {
                out.clear();
                encode_current(frame.phase, out, where_);
                break;
            } catch (const std::bad_alloc&) {
                // What the task wrote may be what is missing.
                out.reset();
                ::sched_yield();
            }
        }
    }
    slot_.task = nullptr;
    return kind;
}

}  // namespace futures::detail
