// SPDX-License-Identifier: BSL-1.0
// Runner: batches out to the workers, results back in order, lost files once more.
#include "runner.hpp"

#include "mp/mp.hpp"

#include "message.hpp"
#include "ranks.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>
#include <exception>
#include <sstream>
#include <string_view>
#include <utility>

namespace mpsum {

namespace {

// Small files travel together: one message for all of them. Large ones come back
// (Outcome::large) and are sent alone, so a batch is short work whatever it holds.
constexpr std::size_t max_batch = 32;
constexpr std::size_t tasks_per_worker = 4;
// Items that wait for an earlier one to finish: some 20 MB of names and digests.
constexpr std::size_t max_slots = 65'536;
constexpr int max_losses = 2;
constexpr std::chrono::milliseconds redraw{100};
constexpr std::chrono::milliseconds census_slice{2};

std::string limit_text(double seconds) {
    std::ostringstream text;
    text << "not hashed within " << seconds << (seconds == 1 ? " second" : " seconds");
    return text.str();
}

std::string limit_text(std::uint64_t bytes) {
    constexpr std::uint64_t unit = 1024;
    std::string_view prefixes = "KMGTPE";
    std::string prefix;
    for (; bytes % unit == 0 && !prefixes.empty(); bytes /= unit) {
        prefix = prefixes.front();
        prefixes.remove_prefix(1);
    }
    return "hashing it takes more memory than the limit of " + std::to_string(bytes) +
           (prefix.empty() ? (bytes == 1 ? " byte" : " bytes") : " " + prefix + "iB");
}

std::string cause(const futures::CrashReport& report) {
    if (report.signal) {
        const char* name = ::sigdescr_np(*report.signal);
        // What the report says behind the signal's name.
        const std::string all = report.cause();
        const auto end = std::min(all.find(')'), all.size() - 1);
        return "was ended by signal " + std::to_string(*report.signal) +
               (name != nullptr ? std::string(" (") + name + ")" : "") +
               all.substr(end + 1);
    }
    if (report.exit_code) {
        return "ended with status " + std::to_string(*report.exit_code);
    }
    return "is gone";
}

}  // namespace

Runner::Runner(WorkerOptions options, bool in_ranks, Console& console)
    : options_(std::move(options)),
      console_(console),
      meter_(
          console.shows_progress() && !in_ranks ? std::make_unique<Meter>() : nullptr
      ),
      workers_(
          in_ranks ? rank_workers(options_) : process_workers(options_, meter_.get())
      ),
      max_tasks_(tasks_per_worker * workers_->count()),
      progress_(Progress::Clock::now()) {
    if (meter_) {
        attach_meter(meter_->path());  // for standard input, which is read here
    }
}

void Runner::run(Source& source, Sink& sink, Census census) {
    exhausted_ = false;
    progress_.begin_part();
    for (;;) {
        start_tasks(source);
        emit(sink);
        if (slots_.empty() && exhausted_) {
            return;
        }
        if (!tasks_.empty()) {
            wait_for_one(census);
            collect();
        }
    }
}

void Runner::end_workers(int status) noexcept {
    workers_->end_all(status);
}

// -- from the source to the workers

void Runner::start_tasks(Source& source) {
    while (tasks_.size() < max_tasks_) {
        if (!again_.empty()) {
            const Number number = again_.front();
            again_.pop_front();
            const bool walked = slot(number).item.kind == Item::Kind::walked;
            submit(walked ? Origin::walked : Origin::named, {number});
        } else if (slots_.size() >= max_slots || !start_batch(source)) {
            return;
        }
    }
}

/// False when there is nothing to start.
bool Runner::start_batch(Source& source) {
    // The first batches are small, so that few files still occupy all workers.
    const std::size_t size =
        std::min<std::size_t>(max_batch, 1 + submitted_ / workers_->count());
    std::vector<Number> members;
    Item::Kind kind = Item::Kind::named;
    while (members.size() < size && slots_.size() < max_slots) {
        const Item* const next = peek(source);
        if (next == nullptr) {
            break;
        }
        if (next->kind == Item::Kind::failure) {
            slot(add_slot()).done = true;
            continue;
        }
        if (!members.empty() && next->kind != kind) {
            break;
        }
        kind = next->kind;
        members.push_back(add_slot());
        if (kind == Item::Kind::standard_input) {
            break;
        }
    }
    if (members.empty()) {
        return false;
    }
    if (kind == Item::Kind::standard_input) {
        submit_stdin(members.front());
    } else {
        submit(
            kind == Item::Kind::walked ? Origin::walked : Origin::named,
            std::move(members)
        );
    }
    return true;
}

const Item* Runner::peek(Source& source) {
    if (!peeked_ && !exhausted_) {
        peeked_ = source.next();
        exhausted_ = !peeked_;
    }
    return peeked_ ? &*peeked_ : nullptr;
}

/// Puts the peeked item into line.
Runner::Number Runner::add_slot() {
    slots_.push_back({*std::exchange(peeked_, std::nullopt), {}, 0, false});
    return first_ + slots_.size() - 1;
}

void Runner::submit(Origin origin, std::vector<Number> members) {
    std::vector<std::string> names;
    names.reserve(members.size());
    for (const Number number : members) {
        names.push_back(slot(number).item.name);
    }
    tasks_.push_back({workers_->submit(origin, std::move(names)), std::move(members)});
    ++submitted_;
}

void Runner::submit_stdin(Number member) {
    if (!stdin_reader_) {
        stdin_reader_ = std::make_unique<futures::ThreadPoolExecutor>(1);
    }
    tasks_.push_back({stdin_reader_->submit(hash_stdin, options_.algorithm), {member}});
}

// -- from the workers to the sink

void Runner::wait_for_one(Census& census) {
    std::vector<Workers::Results> futures;
    futures.reserve(tasks_.size());
    for (const Task& task : tasks_) {
        futures.push_back(task.future);
    }
    if (!console_.shows_progress()) {
        futures::wait(futures, mp::forever, futures::FIRST_COMPLETED);
        return;
    }
    if (census.advance(census_slice)) {
        progress_.set_total(census.files(), census.bytes());
    }
    if (meter_) {
        progress_.set_read(meter_->bytes());
    }
    console_.show(progress_);
    const mp::Timeout tick = census.unfinished() ? mp::Timeout(std::chrono::seconds(0))
                                                 : mp::Timeout(redraw);
    futures::wait(futures, tick, futures::FIRST_COMPLETED);
}

void Runner::collect() {
    std::vector<Task> finished;
    const auto running =
        std::partition(tasks_.begin(), tasks_.end(), [](const Task& task) {
            return !task.future.done();
        });
    std::move(running, tasks_.end(), std::back_inserter(finished));
    tasks_.erase(running, tasks_.end());
    for (const Task& task : finished) {
        try {
            take_results(task);
        } catch (const futures::WorkerLost& lost) {
            take_loss(task, lost.report());
        } catch (const futures::BrokenExecutor&) {
            throw;
        } catch (const futures::TaskTimeout&) {
            // Of a batch each file may take so long.
            take_failure(task, limit_text(options_.timeout));
        } catch (const mp::ResourceLimitExceeded&) {
            take_failure(task, limit_text(options_.memory_limit));
        } catch (const std::exception& error) {
            take_failure(task, error.what());
        }
    }
}

void Runner::take_results(const Task& task) {
    const std::vector<FileResult>& results = task.future.result();
    for (std::size_t i = 0; i != task.members.size(); ++i) {
        if (results.at(i).outcome == Outcome::large) {
            again_.push_back(task.members[i]);
        } else {
            set_done(task.members[i], results.at(i));
        }
    }
}

void Runner::take_loss(const Task& task, const futures::CrashReport& report) {
    const std::string lost = "a worker process " + cause(report);
    if (task.members.size() > 1) {
        console_.message(
            "warning: " + lost + "; hashing its " +
            counted(task.members.size(), "file", "files") + " again"
        );
    }
    for (const Number number : task.members) {
        if (++slot(number).losses == max_losses) {
            refuse(number, lost + " while hashing it, for the second time");
            continue;
        }
        if (task.members.size() == 1) {
            console_.message(
                "warning: " + lost + "; hashing " +
                shell_quoted(slot(number).item.name) + " again"
            );
        }
        again_.push_back(number);
    }
}

/// The task failed as a whole, for lack of memory or time for example.
void Runner::take_failure(const Task& task, const std::string& what) {
    if (task.members.size() == 1) {
        refuse(task.members.front(), what);
        return;
    }
    again_.insert(again_.end(), task.members.begin(), task.members.end());
}

void Runner::set_done(Number number, FileResult result) {
    progress_.add(1, result.bytes);
    Slot& finished = slot(number);
    finished.result = std::move(result);
    finished.done = true;
}

void Runner::refuse(Number number, std::string why) {
    FileResult result;
    result.outcome = Outcome::refused;
    result.text = std::move(why);
    set_done(number, std::move(result));
}

void Runner::emit(Sink& sink) {
    while (!slots_.empty() && slots_.front().done) {
        sink.take(slots_.front().item, slots_.front().result);
        slots_.pop_front();
        ++first_;
    }
    console_.flush();
}

}  // namespace mpsum
