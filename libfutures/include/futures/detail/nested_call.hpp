// SPDX-License-Identifier: BSL-1.0
// NestedCall<R>: a call that a task of a process pool has submitted to that pool, with
// its future's state, in the worker.
// Python:  none.
// Differs: as ProcessTask: the result stays encoded until a thread asks for it.
// Threads: any; see StateBase and PoolLink.
#pragma once

#include "futures/detail/pool_link.hpp"
#include "futures/detail/process_task.hpp"
#include "futures/detail/state.hpp"
#include "mp/remote_error.hpp"

#include <exception>
#include <type_traits>
#include <utility>

namespace futures::detail {

template <class R, class Read = ReadResult<R>>
// NOLINTNEXTLINE(cppcoreguidelines-virtual-class-destructor): it deletes itself
class NestedCall final : public State<R>, public NestedCallBase {
public:
    explicit NestedCall(PoolLink& link) noexcept
        : State<R>(Settler::executor), link_(link) {}

    // -- for the link

    StateBase& future_state() noexcept override { return *this; }

    bool settle(TaskEnd end, Message message) noexcept override {
        message_ = std::move(message);
        return this->conclude(
            end == TaskEnd::cancelled ? Outcome::cancelled
            : end == TaskEnd::value   ? Outcome::raw_value
                                      : Outcome::raw_exception
        );
    }

    bool settle(std::exception_ptr failure) noexcept override {
        this->store_exception(std::move(failure));
        return this->conclude(Outcome::exception);
    }

    void finish_callbacks() override {
        this->run_callbacks();
        this->end_telling();
    }

private:
    ~NestedCall() override = default;

    // -- for the future

    bool request_cancel() noexcept override { return link_.cancel(*this); }

    StopAnswer request_stop() override { return link_.stop(*this); }

    void discard_work() noexcept override {
        link_.cancelled(*this);
        this->drop_reference();  // the link's
    }

    FutureState observe() const noexcept override {
        return link_.is_running(*this) ? FutureState::running : FutureState::pending;
    }

    bool wait_until_done(const mp::Deadline& deadline) override {
        return link_.help(*this, deadline) || StateBase::wait_until_done(deadline);
    }

    void materialise() override {
        const Message message = std::move(message_);
        mp::detail::ByteReader in(message.bytes());
        if (this->raised()) {
            this->store_exception(mp::detail::decode_exception(in));
            return;
        }
        try {
            if constexpr (std::is_void_v<R>) {
                this->emplace();
            } else {
                this->emplace(Read::read(in));
            }
        } catch (...) {
            throw_serialization_error(mp::SerializationPhase::decode_result);
        }
    }

    PoolLink& link_;
    Message message_;
};

}  // namespace futures::detail
