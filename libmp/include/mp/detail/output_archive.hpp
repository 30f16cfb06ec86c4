// SPDX-License-Identifier: BSL-1.0
// OutArchive: values to bytes. See mp/archive.hpp.
// Python:  pickle.Pickler
#pragma once

#include "mp/archivable.hpp"
#include "mp/detail/archive_errors.hpp"
#include "mp/detail/archive_kind.hpp"
#include "mp/detail/archive_traits.hpp"
#include "mp/detail/bytes.hpp"
#include "mp/detail/full_archive_fwd.hpp"
#include "mp/detail/nesting.hpp"
#include "mp/detail/refusal.hpp"
#include "mp/detail/room_ahead.hpp"
#include "mp/detail/tracked_class.hpp"
#include "mp/detail/value_refusal.hpp"

#include <boost/mpl/bool.hpp>
#include <boost/serialization/serialization.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <memory>
#include <tuple>
#include <type_traits>
#include <variant>

namespace mp {

/// Writes values: `ar << x` or `ar & x`. Models Boost's saving archive, so a class's
/// `template <class Archive> void serialize(Archive&, unsigned)` can be given one.
class OutArchive {
public:
    using is_loading = boost::mpl::false_;
    using is_saving = boost::mpl::true_;

    /// Appends to `out`, which must outlive the archive.
    explicit OutArchive(detail::ByteWriter& out) : out_(out) {}

    OutArchive(const OutArchive&) = delete;
    OutArchive& operator=(const OutArchive&) = delete;
    ~OutArchive() = default;

    template <class T>
    OutArchive& operator<<(const T& value) {
        save<detail::kind_of<T>()>(value);
        return *this;
    }

    template <class T>
    OutArchive& operator&(const T& value) {
        return *this << value;
    }

    /// Part of Boost's archive concept, for use in a serialize().
    void save_binary(const void* from, std::size_t size) { out_.bulk(from, size); }

    template <class T>
    void register_type(const T* = nullptr) {
        detail::PointersNeedTheHeaderMpSerialization<T>::register_type(full());
    }

    template <class Helper>
    Helper& get_helper(void* const id = nullptr) {
        return detail::PointersNeedTheHeaderMpSerialization<
            Helper>::template get_helper<Helper>(full(), id);
    }

    boost::serialization::library_version_type get_library_version() const {
        return detail::library_version();
    }

    unsigned get_flags() const { return 1; }  // Boost's no_header

    /// True once something went to the full archive, at a cost of about 1 us.
    bool went_full() const noexcept { return full_ != nullptr; }

private:
    detail::FullOut& full() {
        if (!full_) {
            full_ = detail::make_full(out_);
        }
        depth_.tell();
        return *full_;
    }

    void put_count(std::size_t count) { out_.put_value(std::uint64_t{count}); }

    /// The byte before an object: 1 if the full archive has it. Both sides go by what
    /// is written, so that their registries need not agree.
    template <class T>
    bool put_tracked() {
        bool tracked = false;
        if constexpr (!detail::is_never_tracked<T>) {
            tracked = detail::tracked_class<T>.is_saved_through_pointers();
        }
        out_.put_value(static_cast<std::uint8_t>(tracked));
        return tracked;
    }

    template <class T>
    void save_tracked(const T& value) {
        in_graph_ = true;
        detail::save_tracked(full(), std::addressof(value), typeid(T));
    }

    template <detail::Kind kind, class T>
    // NOLINTNEXTLINE(readability-function-size): the list is as long as there are kinds
    void save(const T& value) {
        using detail::Kind;
        if constexpr (kind == Kind::scalar || kind == Kind::primitive) {
            out_.put(std::addressof(value), sizeof(T));
        } else if constexpr (kind == Kind::boolean) {
            out_.put_value(static_cast<std::uint8_t>(value));
        } else if constexpr (kind == Kind::count) {
            put_count(static_cast<std::size_t>(value));
        } else if constexpr (kind == Kind::text) {
            put_count(value.size());
            out_.bulk(value.data(), value.size() * sizeof(value[0]));
        } else if constexpr (kind == Kind::array) {
            save_array(std::data(value), std::size(value));
        } else if constexpr (kind == Kind::duration) {
            *this << value.count();
        } else if constexpr (kind == Kind::time_point) {
            *this << value.time_since_epoch().count();
        } else if constexpr (kind == Kind::owner) {
            *this << (value != nullptr);
            if (value) {
                *this << *value;
            }
        } else if constexpr (kind == Kind::empty) {
            out_.put_value(std::uint8_t{0});
        } else if constexpr (kind == Kind::wrapper) {
            if constexpr (detail::is_array_wrapper<T>) {
                save_array(value.address(), value.count());
            } else {
                boost::serialization::serialize_adl(*this, const_cast<T&>(value), 0U);
            }
        } else if constexpr (kind == Kind::pointer) {
            using Named = std::remove_cv_t<std::remove_pointer_t<T>>;
            in_graph_ = true;
            detail::PointersNeedTheHeaderMpSerialization<Named>::save(full(), value);
        } else if constexpr (kind == Kind::boost_archive) {
            detail::PointersNeedTheHeaderMpSerialization<T>::save_binary_archive(
                out_, value
            );
        } else if constexpr (detail::accepts<detail::refusal_of_part<T>(), T>()) {
            if (put_tracked<T>()) {
                save_tracked(value);
                return;
            }
            if constexpr (kind == Kind::plain_struct) {
                detail::check_members<T>();
            }
            if constexpr (kind == Kind::plain_struct && detail::is_bitwise<T>()) {
                out_.put(std::addressof(value), sizeof(T));
                return;
            }
            const detail::ArchiveDepth::Level level(depth_, detail::Direction::encode);
            save_untracked<kind>(value);
        }
    }

    template <detail::Kind kind, class T>
    void save_untracked(const T& value) {
        using detail::Kind;
        if constexpr (kind == Kind::sequence) {
            save_sequence(value);
        } else if constexpr (kind == Kind::set) {
            put_count(value.size());
            for (const auto& key : value) {
                *this << key;
            }
        } else if constexpr (kind == Kind::map) {
            put_count(value.size());
            for (const auto& [key, mapped] : value) {
                *this << key << mapped;
            }
        } else if constexpr (kind == Kind::tuple) {
            std::apply(
                [this](const auto&... members) { ((*this << members), ...); }, value
            );
        } else if constexpr (kind == Kind::optional) {
            *this << value.has_value();
            if (value) {
                *this << *value;
            }
        } else if constexpr (kind == Kind::variant) {
            if (value.valueless_by_exception()) {
                detail::throw_encode_error("a variant that holds no value");
            }
            out_.put_value(static_cast<std::uint32_t>(value.index()));
            std::visit([this](const auto& held) { *this << held; }, value);
        } else {
            constexpr unsigned version = detail::class_version<T>();
            if constexpr (version > 0) {
                out_.put_value(version);
            }
            if constexpr (kind == Kind::plain_struct) {
                detail::pass_members(value, [this](const auto&... members) {
                    ((*this << members), ...);
                });
            } else {
                boost::serialization::serialize_adl(
                    *this, const_cast<T&>(value), version
                );
            }
        }
    }

    template <class T>
    void save_sequence(const T& value) {
        using Element = typename T::value_type;
        put_count(value.size());
        if constexpr (std::is_same_v<Element, bool>) {
            for (const bool element : value) {
                out_.put_value(static_cast<std::uint8_t>(element));
            }
        } else if constexpr (!requires { value.data(); }) {
            for (const Element& element : value) {
                *this << element;
            }
        } else if constexpr (detail::may_hold_objects<Element>) {
            const detail::RoomNeeded::Scope scope(
                needed_, value.size(), sizeof(Element), out_.size()
            );
            save_array(value.data(), value.size());
            if (in_graph_) [[unlikely]] {
                pad(scope.missing(out_.size()));
            }
        } else {
            save_array(value.data(), value.size());
        }
    }

    void pad(std::size_t bytes) {
        if (bytes != 0) {
            std::memset(out_.extend(bytes), 0, bytes);
        }
    }

    template <class T>
    void save_array(const T* first, std::size_t count) {
        if constexpr (detail::is_bitwise<T>()) {
            if constexpr (detail::may_be_pointed_at<T>) {
                if (put_tracked<T>()) {
                    for (std::size_t i = 0; i < count; ++i) {
                        save_tracked(first[i]);
                    }
                    return;
                }
            }
            out_.bulk(first, count * sizeof(T));
        } else {
            for (std::size_t i = 0; i < count; ++i) {
                *this << first[i];
            }
        }
    }

    // Set once in the constructor.
    detail::ByteWriter& out_;
    // One thread at a time.
    std::unique_ptr<detail::FullOut, detail::DeleteFull> full_;
    detail::RoomNeeded needed_;
    // A pointer was written, or an object that one may name.
    bool in_graph_ = false;
    detail::ArchiveDepth depth_;
};

}  // namespace mp
