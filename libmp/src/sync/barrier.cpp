// SPDX-License-Identifier: BSL-1.0
// The handle of a barrier.
#include "mp/barrier.hpp"

#include "mp/errors.hpp"

#include "sync/barrier_state.hpp"

#include <chrono>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>

namespace mp {

namespace {

using detail::BarrierMemory;
using detail::BarrierState;

constexpr int max_parties = 1 << 20;

BarrierState state_of(const detail::SharedBlock& block, std::uint32_t parties) {
    return {block.checked<BarrierMemory>("a Barrier"), parties};
}

}  // namespace

Barrier::Barrier(BarrierOptions options)
    : action_(std::move(options.action)),
      nanoseconds_(options.timeout.duration().count()) {
    if (options.parties < 1 || options.parties > max_parties) {
        throw std::invalid_argument(
            "a barrier for " + std::to_string(options.parties) + " parties"
        );
    }
    parties_ = static_cast<std::uint32_t>(options.parties);
    block_ = detail::SharedBlock::allocate(BarrierMemory::bytes(parties_));
}

void Barrier::check_arrived() const {
    if (parties_ < 1 || parties_ > max_parties ||
        block_.size() < BarrierMemory::bytes(parties_)) {
        throw SerializationError(
            SerializationPhase::decode, "the parts of a barrier do not fit each other"
        );
    }
}

int Barrier::wait(std::optional<Timeout> timeout) {
    const std::chrono::nanoseconds usual(nanoseconds_);
    std::function<void()> action;
    if (action_) {
        action = [this] {
            action_();
        };
    }
    return static_cast<int>(
        state_of(block_, parties_)
            .wait(
                block_.processes(), Deadline(timeout.value_or(Timeout(usual))), action
            )
    );
}

void Barrier::reset() {
    state_of(block_, parties_).reset(block_.processes());
}

void Barrier::abort() {
    state_of(block_, parties_).abort(block_.processes());
}

int Barrier::parties() const {
    state_of(block_, parties_);  // there is one
    return static_cast<int>(parties_);
}

int Barrier::n_waiting() const {
    return static_cast<int>(state_of(block_, parties_).waiting());
}

bool Barrier::broken() const {
    return state_of(block_, parties_).broken();
}

}  // namespace mp
