// SPDX-License-Identifier: BSL-1.0
// The tree of scopes. Each knows whether it is cancelled, itself or by one around it
// that it sees, so that a checkpoint is one load; a change goes down the tree at once.
#include "concurrency/detail/loop_task.hpp"

#include <algorithm>
#include <utility>

namespace concurrency::detail {

void ScopeNode::call(std::string reason) noexcept {
    if (called_) {
        return;
    }
    called_ = true;
    reason_ = std::move(reason);
    update();
}

double ScopeNode::effective_deadline() const noexcept {
    double deadline = inf;
    for (const ScopeNode* scope = this; scope != nullptr; scope = scope->parent_) {
        if (scope->cancelled_) {
            return -inf;
        }
        deadline = std::min(deadline, scope->deadline_);
        if (scope->shield_) {
            break;
        }
    }
    return deadline;
}

void ScopeNode::enter_tree(LoopTask& task) noexcept {
    parent_ = task.scope();
    if (parent_ != nullptr) {
        parent_->children_.push_back(*this);
    }
    task.move_to(this);
}

void ScopeNode::leave_tree() noexcept {
    ScopeChild::unlink();
    while (!tasks_.empty()) {
        static_cast<LoopTask&>(tasks_.front()).move_to(parent_);
    }
    while (!children_.empty()) {
        auto& child = static_cast<ScopeNode&>(children_.pop_front());
        child.parent_ = parent_;
        if (parent_ != nullptr) {
            parent_->children_.push_back(child);
        }
    }
    parent_ = nullptr;
}

// Brings the scope up to date with the one around it; true if that changed something.
bool ScopeNode::see() noexcept {
    const bool cancelled = called_ || is_cancelled_around();
    if (cancelled == cancelled_) {
        return false;
    }
    cancelled_ = cancelled;
    if (cancelled) {
        for (ScopeLink* link = tasks_.first(); link != nullptr;
             link = tasks_.after(*link)) {
            static_cast<LoopTask&>(*link).abort_wait();
        }
    }
    return true;
}

// Down the tree, by a loop: thousands of scopes may lie in one another.
void ScopeNode::update() noexcept {
    ScopeNode* scope = this;
    for (;;) {
        ScopeChild* next = scope->see() ? scope->children_.first() : nullptr;
        while (next == nullptr) {
            if (scope == this) {
                return;
            }
            next = scope->parent_->children_.after(*scope);
            scope = scope->parent_;
        }
        scope = static_cast<ScopeNode*>(next);
    }
}

}  // namespace concurrency::detail
