// SPDX-License-Identifier: BSL-1.0
#include "concurrency/running_tasks.hpp"

#include "concurrency/errors.hpp"
#include "concurrency/loop/loop.hpp"

#include <cstdint>
#include <unordered_map>

namespace concurrency {

namespace {

// The last child comes first: a stack turns them round.
using Children =
    std::unordered_map<std::uint64_t, std::vector<const detail::LoopTask*>>;

// A parent that has gone makes a task one of those at the top.
Children children_in(const std::vector<const detail::LoopTask*>& tasks) {
    Children children;
    for (const detail::LoopTask* task : tasks) {
        children[task->id()];
    }
    for (auto task = tasks.rbegin(); task != tasks.rend(); ++task) {
        const auto parent = children.find((*task)->parent_id());
        (parent != children.end() ? parent->second : children[0]).push_back(*task);
    }
    return children;
}

}  // namespace

namespace detail {

std::vector<RunningTask> running_tasks(Loop& loop) {
    std::vector<const LoopTask*> tasks;
    for (LoopLink* link = loop.tasks().first(); link != nullptr;
         link = loop.tasks().after(*link)) {
        tasks.push_back(static_cast<const LoopTask*>(link));
    }
    Children children = children_in(tasks);
    std::vector<RunningTask> tree;
    tree.reserve(tasks.size());
    // By a stack: thousands of tasks may have been started by one another.
    std::vector<std::pair<const LoopTask*, std::size_t>> open;
    for (const LoopTask* task : children[0]) {
        open.emplace_back(task, 0);
    }
    while (!open.empty()) {
        const auto [task, depth] = open.back();
        open.pop_back();
        tree.emplace_back(TaskInfo(*task), depth);
        for (const LoopTask* child : children[task->id()]) {
            open.emplace_back(child, depth + 1);
        }
    }
    return tree;
}

}  // namespace detail

std::vector<RunningTask> get_running_tasks() {
    detail::Loop* loop = detail::Loop::running();
    if (loop == nullptr) {
        detail::this_task();  // throws
    }
    return detail::running_tasks(*loop);
}

std::string to_string(const TaskInfo& task) {
    return task.name() + " #" + std::to_string(task.id()) + ": " + task.where();
}

std::string to_string(const std::vector<RunningTask>& tasks) {
    std::string text;
    for (const RunningTask& task : tasks) {
        text += std::string(2 * task.depth(), ' ') + to_string(task) + '\n';
    }
    return text;
}

}  // namespace concurrency
