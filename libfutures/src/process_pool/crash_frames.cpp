// SPDX-License-Identifier: BSL-1.0
// A crash's frames: written without locks and memory, read with the files of the
// modules.
#include "process_pool/crash_frames.hpp"

#include "mp/detail/code_ref.hpp"

#include "data/code_place.hpp"
#include "os/exec.hpp"
#include "process_pool/crash_message.hpp"
#include "process_pool/source_lines.hpp"
#include "util/demangle.hpp"
#include "util/hex.hpp"

#include <signal.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <initializer_list>
#include <optional>
#include <string_view>
#include <ucontext.h>
#include <unwind.h>
#include <utility>
#include <vector>

namespace futures::detail {

namespace {

using mp::detail::CodePlace;

// ---- in a worker -------------------------------------------------------------------

// Set before the handlers are.
std::array<char, CrashStack::max_path> program_path{};
pid_t worker_thread = 0;
// Of that thread.
volatile std::uintptr_t frames_below = 0;

// Where the signal came.
struct Origin {
    std::uintptr_t code = 0;
    std::uintptr_t stack = 0;
    std::uintptr_t link =
        0;  ///< where the machine keeps return addresses in a register
};

std::optional<Origin> origin_of(const void* context) noexcept {
    if (context == nullptr) {
        return std::nullopt;
    }
    const auto& machine = static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
    const auto reg = [&](int i) {
        return static_cast<std::uintptr_t>(machine.gregs[i]);
    };
    return Origin{.code = reg(REG_RIP), .stack = reg(REG_RSP)};
#elif defined(__aarch64__)
    return Origin{.code = machine.pc, .stack = machine.sp, .link = machine.regs[30]};
#else
    static_cast<void>(machine);
    return std::nullopt;
#endif
}

std::uint32_t
module_number(CrashStack& record, const mp::detail::LoadedCode& code) noexcept {
    std::uint32_t i = 0;
    for (; i < record.modules && record.module[i].base != code.base; ++i) {
    }
    if (i < record.modules || i >= CrashStack::max_modules) {
        return i;
    }
    CrashStack::Module& added = record.module[i];
    added.is_program = *code.path == '\0' ? 1 : 0;
    const char* const path = added.is_program != 0 ? program_path.data() : code.path;
    const std::size_t length = std::strlen(path);
    // A path that is cut short would be another file's.
    const bool fits = length < added.path.size();
    std::memcpy(added.path.data(), fits ? path : "", fits ? length + 1 : 1);
    added.build_id_size =
        static_cast<std::uint32_t>(std::min(code.build_id.size(), added.build_id.size())
        );
    std::memcpy(added.build_id.data(), code.build_id.data(), added.build_id_size);
    added.base = code.base;
    ++record.modules;
    return i;
}

void add_frame(CrashStack& record, std::uintptr_t address, bool exact) noexcept {
    if (record.frames >= CrashStack::max_frames) {
        return;
    }
    CrashStack::Frame& frame = record.frame[record.frames];
    frame.address = address;
    frame.exact = exact ? 1 : 0;
    frame.module = CrashStack::max_modules;
    if (const auto code = mp::detail::loaded_code_at(address - (exact ? 0 : 1))) {
        frame.module = module_number(record, *code);
        frame.offset = address - code->base;
    }
    ++record.frames;
}

// A call to where no code is leaves the unwinder nothing to go by. Its caller is where
// a call puts it.
void add_caller_of_no_code(CrashStack& record, const Origin& origin) noexcept {
    std::uintptr_t caller = origin.link;
    if (caller == 0) {
        const iovec to{.iov_base = &caller, .iov_len = sizeof caller};
        // NOLINTNEXTLINE(performance-no-int-to-ptr): a register's value
        void* const stack = reinterpret_cast<void*>(origin.stack);
        const iovec from{.iov_base = stack, .iov_len = sizeof caller};
        // The kernel reads, for the stack may be anywhere.
        if (::process_vm_readv(::getpid(), &to, 1, &from, 1, 0) !=
            static_cast<ssize_t>(sizeof caller)) {
            return;
        }
    }
    if (mp::detail::loaded_code_at(caller)) {
        add_frame(record, caller, false);
    }
}

struct Walk {
    CrashStack& record;
    const std::optional<Origin>& origin;
    std::uintptr_t below;
    bool begun = false;
};

_Unwind_Reason_Code visit(_Unwind_Context* context, void* to) noexcept {
    auto& walk = *static_cast<Walk*>(to);
    int exact = 0;
    const std::uintptr_t address = _Unwind_GetIPInfo(context, &exact);
    const bool is_origin = walk.origin ? address == walk.origin->code : exact != 0;
    if (!walk.begun && !is_origin) {
        return _URC_NO_REASON;  // the handler, and what called it
    }
    if (walk.below != 0 && _Unwind_GetCFA(context) >= walk.below) {
        return _URC_END_OF_STACK;
    }
    if (!walk.begun || address != 0) {
        add_frame(walk.record, address, !walk.begun || exact != 0);
    }
    walk.begun = true;
    return walk.record.frames >= CrashStack::max_frames ? _URC_END_OF_STACK
                                                        : _URC_NO_REASON;
}

// ---- in the parent -----------------------------------------------------------------

struct Line {
    std::string symbol;  ///< the linker's name; empty where it is not known
    std::string module;  ///< its file's name
    std::string text;
};

Line in_words(const CrashStack& record, const CrashStack::Frame& frame) {
    const auto modules = std::min<std::size_t>(record.modules, CrashStack::max_modules);
    if (frame.module >= modules) {
        return {
            .symbol = {}, .module = {}, .text = mp::detail::hex_number(frame.address)};
    }
    const CrashStack::Module& in = record.module[frame.module];
    const auto length = ::strnlen(in.path.data(), in.path.size());
    const auto id_size = std::min<std::size_t>(in.build_id_size, in.build_id.size());
    CodePlace place{
        .path = std::string(in.path.data(), length),
        .build_id = std::string(in.build_id.data(), id_size),
        .offset = frame.offset - (frame.exact != 0 ? 0 : 1)};
    const bool own = in.is_program != 0 && mp::detail::is_own_program(place.build_id);
    std::string path = own ? "program" : place.path;
    if (own) {
        place.path = mp::os::own_file();  // also when the file has been replaced
    }
    Line line;
    line.module = path.substr(path.rfind('/') + 1);
    auto sources = source_lines_at(place.build_id, place.offset);
    if (sources.empty()) {
        sources.emplace_back();
    }
    // Of a module that only the worker had loaded, the names that its file tells.
    SourceLine& function = sources.back();
    if (function.symbol.empty()) {
        function.symbol = mp::detail::symbol_at(place);
    }
    line.symbol = function.symbol;
    const std::string where =
        (path.empty() ? "?" : path) + "+" + mp::detail::hex_number(frame.offset);
    for (const SourceLine& source : sources) {
        line.text += line.text.empty() ? "" : "\n";
        line.text += source.symbol.empty()
                         ? where
                         : mp::detail::demangled(source.symbol.c_str());
        if (!source.file.empty()) {
            line.text += " at " + source.file + ":" + std::to_string(source.line);
        }
        if (&source != &function) {
            line.text += ", inlined";
        } else if (!own && !source.symbol.empty()) {
            line.text += " (" + where + ")";
        }
    }
    return line;
}

bool is_c_library(const Line& line) {
    return line.module.starts_with("libc.so") || line.module.starts_with("libc-");
}

// The library's functions, and those of std by which they call the program's.
bool is_of_the_library(const Line& line) {
    std::string_view name = line.symbol;
    if (!name.starts_with("_Z")) {
        return false;
    }
    name.remove_prefix(2);
    while (!name.empty() &&
           (name.front() == 'Z' || name.front() == 'N' || name.front() == 'K')) {
        name.remove_prefix(1);  // local, nested, const
    }
    for (const auto* const space : {"2mp", "7futures", "St"}) {
        if (name.starts_with(space)) {
            return true;
        }
    }
    return false;
}

}  // namespace

void prepare_crash_frames() {
    const std::string path = mp::os::own_program();
    if (path.size() < program_path.size()) {
        std::memcpy(program_path.data(), path.c_str(), path.size() + 1);
    }
    worker_thread = ::gettid();
    // The unwinder, too, looks things up at its first use.
    int frames = 0;
    _Unwind_Backtrace(
        [](_Unwind_Context* context, void* to) noexcept {
            static_cast<void>(mp::detail::loaded_code_at(_Unwind_GetIP(context)));
            return ++*static_cast<int*>(to) < 4 ? _URC_NO_REASON : _URC_END_OF_STACK;
        },
        &frames
    );
}

void leave_out_frames_below(const void* frame) noexcept {
    frames_below = reinterpret_cast<std::uintptr_t>(frame);
}

CrashPlace crash_place(const void* context) noexcept {
    const auto origin = origin_of(context);
    return origin ? CrashPlace{.code = origin->code, .stack = origin->stack}
                  : CrashPlace{};
}

void write_crash_frames(CrashStack& record, const void* context) noexcept {
    record.frames = 0;
    record.modules = 0;
    const auto origin = origin_of(context);
    // The stack of another thread has no such frame.
    Walk walk{
        .record = record,
        .origin = origin,
        .below = ::gettid() == worker_thread ? frames_below : 0};
    _Unwind_Backtrace(visit, &walk);
    if (origin && record.frames == 0) {
        add_frame(record, origin->code, true);
    }
    if (origin && record.frames == 1 && record.frame[0].module >= record.modules) {
        add_caller_of_no_code(record, *origin);
    }
}

std::string crash_frames_in_words(const CrashStack& record, int signal) {
    const auto frames = std::min<std::size_t>(record.frames, CrashStack::max_frames);
    std::vector<Line> lines;
    for (std::size_t i = 0; i < frames; ++i) {
        lines.push_back(in_words(record, record.frame[i]));
    }
    // The way from abort() to the signal says no more than the signal.
    auto first = lines.begin();
    if (signal == SIGABRT) {
        first = std::find_if_not(first, lines.end(), is_c_library);
    }
    auto last = lines.end();
    while (last != first && is_of_the_library(*(last - 1))) {
        --last;
    }
    if (first == last) {  // it all happened there
        first = lines.begin();
        last = lines.end();
    }
    std::string text;
    for (; first != last; ++first) {
        text += first->text + "\n";
    }
    return printable(std::move(text));
}

}  // namespace futures::detail
