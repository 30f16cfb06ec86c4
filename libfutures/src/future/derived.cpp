// SPDX-License-Identifier: BSL-1.0
#include "futures/detail/derived.hpp"

#include "futures/errors.hpp"
#include "mp/errors.hpp"

#include "future/dependency_walk.hpp"

namespace futures::detail {

std::exception_ptr thread_ended_in_function() {
    return std::make_exception_ptr(
        mp::StateError("the function ended its thread by pthread_exit()")
    );
}

std::exception_ptr chain_leads_back() {
    return std::make_exception_ptr(DeadlockError(
        "a cycle was found: the future that the function returned depends on the one "
        "that then() made for its result, so that neither would ever be done"
    ));
}

namespace {

class LeadsBack final : public DependencyVisitor {
public:
    explicit LeadsBack(const StateBase& to) noexcept : to_(to) {}

    bool visit(StateBase& state, Edge* edge) override {
        return edge != nullptr && &state == &to_;
    }

    bool goes_into(const Dependencies& dependent) override {
        return dependent.needs_each();
    }

private:
    const StateBase& to_;
};

}  // namespace

bool depends_on_itself(StateBase& state) noexcept {
    try {
        LeadsBack visitor(state);
        DependencyWalk walk;
        return walk.visit(state, visitor);
    } catch (...) {
        return false;  // no memory for the look
    }
}

}  // namespace futures::detail
