// SPDX-License-Identifier: BSL-1.0
// An exception with its causes as bytes, and made again from them.
#include "mp/remote_error.hpp"

#include "mp/detail/nested_exception.hpp"

#include "data/exception_types.hpp"
#include "util/demangle.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <cxxabi.h>
#include <optional>
#include <stdexcept>
#include <vector>

namespace mp::detail {

namespace {

// In the list before main(), so that no thread is inside that while another one forks.
[[maybe_unused]] const bool types_are_listed = first_exception_type() != nullptr;

/// One exception of a chain, on either side.
struct Link {
    /// Mangled; of the exception that std::throw_with_nested wrapped.
    std::string type;
    std::string what;
    /// What its ExceptionType::save wrote.
    std::optional<std::string> saved;
    /// Not on the wire; the next link is.
    std::exception_ptr nested;
};

// ---- the sending side

/// std::throw_with_nested(E) throws a class that derives from E. The name of E, or
/// `name` itself. Both demangled.
std::string_view without_nesting(std::string_view name) {
    for (const std::string_view wrapper :
         {std::string_view("std::_Nested_exception<"),
          std::string_view("std::__1::__nested<")}) {
        if (name.starts_with(wrapper) && name.ends_with('>')) {
            name.remove_prefix(wrapper.size());
            name.remove_suffix(1);
            while (name.ends_with(' ')) {
                name.remove_suffix(1);
            }
            break;
        }
    }
    return name;
}

const ExceptionType* known_type(const std::type_info& type) {
    for (const auto* known = first_exception_type(); known != nullptr;
         known = known->next) {
        if (*known->type == type) {
            return known;
        }
    }
    const std::string name = demangled(type.name());
    const auto inner = without_nesting(name);
    if (inner.size() == name.size()) {
        return nullptr;
    }
    for (const auto* known = first_exception_type(); known != nullptr;
         known = known->next) {
        if (demangled(known->type->name()) == inner) {
            return known;
        }
    }
    return nullptr;
}

std::string text_of(const char* what) {
    if (what == nullptr) {
        return {};
    }
    const std::size_t size = std::strlen(what);
    if (size <= longest_what) {
        return {what, size};
    }
    std::size_t kept = longest_what;
    while (kept > longest_what - 4 && (what[kept] & 0xc0) == 0x80) {
        --kept;  // not in the middle of a UTF-8 character
    }
    return std::string(what, kept) + " ... [cut: " + std::to_string(size) + " bytes]";
}

/// For what is thrown without being a std::exception.
std::string text_of_current(const std::string& type) {
    std::string name = "an exception of type " + demangled(type.c_str());
    try {
        throw;
    } catch (const SystemExit& exit) {
        return exit.text().empty() ? "exit status " + std::to_string(exit.code())
                                   : text_of(exit.text().c_str());
    } catch (const std::string& text) {
        return name + ": " + text_of(text.c_str());
    } catch (const char* text) {
        return name + ": " + text_of(text);
    } catch (int number) {
        return name + ": " + std::to_string(number);
    } catch (...) {
        return name;
    }
}

/// While an exception is being handled: what is to be said of it.
Link current_link() {
    const std::type_info& type = *abi::__cxa_current_exception_type();
    const ExceptionType* known = known_type(type);
    Link link;
    link.type = known != nullptr ? known->type->name() : type.name();
    link.nested = current_cause();
    try {
        throw;
    } catch (const std::exception& error) {
        link.what = text_of(error.what());
    } catch (...) {
        link.what = text_of_current(link.type);
    }
    if (known != nullptr && known->save != nullptr) {
        try {
            ByteWriter saved;
            known->save(saved);
            const auto bytes = saved.data();
            link.saved.emplace(
                reinterpret_cast<const char*>(bytes.data()), bytes.size()
            );
        } catch (const std::bad_alloc&) {
            throw;
        } catch (...) {
            // The receiver sees that there is nothing to make one from.
            link.saved.reset();
        }
    }
    return link;
}

std::vector<Link> chain_of(std::exception_ptr error) {
    std::vector<Link> chain;
    while (error != nullptr) {
        if (chain.size() > deepest_cause) {
            Link& last = chain.back();
            last.type = typeid(RemoteError).name();
            last.what = "more nested causes than " + std::to_string(deepest_cause) +
                        "; the rest is left out";
            last.saved.reset();
            break;
        }
        try {
            std::rethrow_exception(error);
        } catch (...) {
            chain.push_back(current_link());
        }
        error = chain.back().nested;
    }
    return chain;
}

// ---- the receiving side

std::string readable_type(const Link& link) {
    const std::string name = demangled(link.type.c_str());
    return std::string(without_nesting(name));
}

std::string report(const std::vector<Link>& chain) {
    std::string text;
    for (const Link& link : chain) {
        text += text.empty() ? "" : "\n  caused by ";
        text += readable_type(link);
        text += link.what.empty() ? "" : ": ";
        text += link.what;
    }
    return text;
}

const ExceptionType* type_named(const std::string& name) {
    for (const auto* known = first_exception_type(); known != nullptr;
         known = known->next) {
        if (known->type->name() == name) {
            return known;
        }
    }
    return nullptr;
}

/// Of the link's own type, if that is known here and can be made; else null.
std::exception_ptr made_as_itself(const Link& link, const std::exception_ptr& cause) {
    const ExceptionType* known = type_named(link.type);
    if (known == nullptr || (known->save != nullptr) != link.saved.has_value()) {
        return nullptr;
    }
    const std::string_view saved = link.saved ? std::string_view(*link.saved) : "";
    try {
        ByteReader in(std::as_bytes(std::span(saved)));
        return known->make(in, link.what, cause);
    } catch (...) {
        // What a class throws when it is made must not hide what went wrong there.
        return nullptr;
    }
}

std::exception_ptr made(const Link& link, const std::exception_ptr& cause) {
    if (auto error = made_as_itself(link, cause)) {
        return error;
    }
    return with_cause(RemoteError(readable_type(link), link.what), cause);
}

}  // namespace

void encode_exception(
    ByteWriter& out, const std::exception_ptr& error, std::string_view where
) {
    if (error == nullptr) {
        throw std::invalid_argument("there is no exception to encode");
    }
    const auto chain = chain_of(error);
    out.put_text(
        where.empty() ? "process " + std::to_string(::getpid()) : std::string(where)
    );
    out.put_value(static_cast<std::uint8_t>(chain.size()));
    for (const Link& link : chain) {
        out.put_text(link.type);
        out.put_text(link.what);
        out.put_value(static_cast<std::uint8_t>(link.saved.has_value()));
        if (link.saved) {
            out.put_text(*link.saved);
        }
    }
}

std::exception_ptr decode_exception(ByteReader& in) {
    const std::string where = in.get_text();
    std::vector<Link> chain(in.get_value<std::uint8_t>());
    if (chain.empty() || chain.size() > deepest_cause + 1) {
        throw SerializationError(
            SerializationPhase::decode,
            "an exception of " + std::to_string(chain.size()) + " parts"
        );
    }
    for (Link& link : chain) {
        link.type = in.get_text();
        link.what = in.get_text();
        if (in.get_value<std::uint8_t>() != 0) {
            link.saved = in.get_text();
        }
    }
    std::exception_ptr cause;
    for (std::size_t i = chain.size(); i-- > 1;) {
        cause = made(chain[i], cause);
    }
    const Link& outermost = chain.front();
    cause = with_cause(
        RemoteError(readable_type(outermost), "in " + where + ": " + report(chain)),
        cause
    );
    return made(outermost, cause);
}

std::string describe_exception(const std::exception_ptr& error) {
    return report(chain_of(error));
}

}  // namespace mp::detail
