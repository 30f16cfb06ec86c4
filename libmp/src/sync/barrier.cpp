// SPDX-License-Identifier: BSL-1.0
// The handle of a barrier.
#include "mp/barrier.hpp"

#include "sync/barrier_state.hpp"

#include <chrono>
#include <functional>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

namespace mp {

namespace {

using detail::BarrierState;

constexpr int max_parties = 1 << 20;

BarrierState& state_of(const detail::SharedBlock& block) {
    return block.checked<BarrierState>("a Barrier");
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
    const auto parties = static_cast<std::uint32_t>(options.parties);
    block_ = detail::SharedBlock::allocate(BarrierState::bytes(parties));
    new (block_.data()) BarrierState(parties);
}

int Barrier::wait(std::optional<Timeout> timeout) {
    const std::chrono::nanoseconds usual(nanoseconds_);
    std::function<void()> action;
    if (action_) {
        action = [this] {
            action_();
        };
    }
    return static_cast<int>(state_of(block_).wait(
        block_.processes(), Deadline(timeout.value_or(Timeout(usual))), action
    ));
}

void Barrier::reset() {
    state_of(block_).reset(block_.processes());
}

void Barrier::abort() {
    state_of(block_).abort(block_.processes());
}

int Barrier::parties() const {
    return static_cast<int>(state_of(block_).parties());
}

int Barrier::n_waiting() const {
    return static_cast<int>(state_of(block_).waiting());
}

bool Barrier::broken() const {
    return state_of(block_).broken();
}

}  // namespace mp
